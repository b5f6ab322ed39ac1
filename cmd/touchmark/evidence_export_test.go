package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/index"
)

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
func (fullDisk) Close() error              { return nil }

// TestExportIsOut: what a sink took is out, in either format: who goes on behind it misses nothing.
func TestExportIsOut(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	server := did.FromKey(public)
	text, err := evidence.Sign(&evidence.Record{Header: evidence.Header{
		ID: "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10", Stream: evidence.StreamID{1}, Epoch: 1, Time: time.Unix(1_790_000_000, 0), Server: server,
	}, Genesis: &evidence.Genesis{Software: "test"}}, server.KeyURL(), key)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := evidence.ParseEntry(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, otlp := range []bool{false, true} {
		s := &fileSink{con: newConsole(nil, io.Discard, io.Discard), out: fullDisk{}, w: bufio.NewWriterSize(fullDisk{}, 1<<16), otlp: otlp}
		if err := s.put(context.Background(), []*evidence.UnverifiedEntry{entry}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("otlp %v: %v", otlp, err)
		}
	}
}

// A closingSink takes everything, and fails when it is closed.
type closingSink struct{ err error }

func (closingSink) put(context.Context, []*evidence.UnverifiedEntry) error { return nil }
func (s closingSink) close() error                                         { return s.err }

// TestExportThatDoesNotClose says nothing of where to go on: nobody knows what is out.
func TestExportThatDoesNotClose(t *testing.T) {
	for _, closing := range []error{nil, syscall.EIO} {
		var says bytes.Buffer
		f := &finder{con: newConsole(nil, io.Discard, &says), query: new(index.Query)}
		if err := runExport(context.Background(), f, closingSink{closing}); !errors.Is(err, closing) {
			t.Errorf("got %v", err)
		}
		if told := bytes.Contains(says.Bytes(), []byte("exported")); told != (closing == nil) {
			t.Errorf("%v: %s", closing, &says)
		}
	}
}

// TestTenantCountForgets: what is never to have an outcome is not waited for.
func TestTenantCountForgets(t *testing.T) {
	c := tenantCount{tenant: "acme"}
	d := &evidence.Decision{Tenant: "acme", Kind: evidence.Deny}
	for i := range uint64(10) {
		c.add(&evidence.Record{Header: evidence.Header{Sequence: i}, Decision: d})
	}
	c.add(&evidence.Record{Header: evidence.Header{Sequence: 10}, Decision: &evidence.Decision{Tenant: "acme", Kind: evidence.Allow}})
	if len(c.open) != 1 || c.n != 11 {
		t.Errorf("%d are waited for, %d were counted", len(c.open), c.n)
	}
}
