package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
)

// records writes as many records to a journal and its log as would take long by calls, in small files: records JOURNAL
// LOG IDENTITY N.
func records(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: records JOURNAL LOG IDENTITY N")
	}
	ctx := context.Background()
	id, err := readIdentity(newConsole(nil, io.Discard, io.Discard), ts.MkAbs(args[2]))
	ts.Check(err)
	place, err := logs.At(ts.MkAbs(args[1]))
	ts.Check(err)
	cfg := &evidence.LedgerConfig{
		Dir: ts.MkAbs(args[0]), Server: id.DID, Key: id.Key, KeyID: id.KeyID, LogForm: place.Form, SegmentBytes: 256 << 10,
	}
	shared, err := place.Shared(ctx)
	ts.Check(err)
	var log interface{ Close(context.Context) error }
	if shared {
		l, err := place.OpenShared(ctx)
		ts.Check(err)
		cfg.Shared, log = l, l
	} else {
		_, signer, err := logPlace(ts.MkAbs(args[1]))
		ts.Check(err)
		l, err := place.Open(ctx, signer, new(logs.Options))
		ts.Check(err)
		cfg.Log, log = l, l
	}
	ledger, err := evidence.Open(ctx, cfg)
	ts.Check(err)
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	for range n {
		_, err := ledger.Record(ctx, &evidence.Draft{
			Badge: strings.Repeat("b", 6000),
			Decision: &evidence.Decision{
				Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "read_note",
				Kind: evidence.Deny, DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "v1",
			},
		})
		ts.Check(err)
	}
	ts.Check(ledger.Close(ctx))
	ts.Check(log.Close(ctx))
}
