package evidence_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"os"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A server records a decision before it acts on it, and then what came of it.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "evidence")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	server := did.FromKey(pub)
	ledger, err := evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: dir, Server: server, Key: key, KeyID: server.KeyURL(),
		Log: translogtest.NewLog("log.example/tools"), // tesseralog.Open keeps one on a disk
	})
	if err != nil {
		log.Fatal(err)
	}

	decision, err := ledger.Record(ctx, &evidence.Draft{
		Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous},
			Method: "tools/call", Capability: "tool", Target: "clock", Kind: evidence.Allow, PolicyVersion: "example",
		},
	})
	if err != nil {
		log.Fatal(err) // no record, no run
	}
	result := []byte("12:00")
	if _, err := ledger.Record(ctx, &evidence.Draft{
		Outcome: &evidence.Outcome{DecisionID: decision.ID, DecisionSequence: decision.Sequence, Status: evidence.OutcomeOK},
		Result:  result,
	}); err != nil {
		log.Fatal(err)
	}
	if err := ledger.Close(ctx); err != nil {
		log.Fatal(err)
	}

	for record, err := range evidence.ReadJournal(dir, 0) {
		if err != nil {
			log.Fatal(err)
		}
		entry, err := evidence.ParseEntry(record.Entry)
		if err != nil {
			log.Fatal(err)
		}
		verified, err := entry.Verify(evidence.Keys{server.KeyURL(): pub})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.Sequence, verified.Record().Kind())
	}
	// Output:
	// 0 genesis
	// 1 decision
	// 2 outcome
}
