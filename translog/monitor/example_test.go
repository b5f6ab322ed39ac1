package monitor_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// What is in a log and is no record of a server that is known is a fault, and its proof is kept.
func Example() {
	dir, err := os.MkdirTemp("", "monitor")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log := translogtest.NewLog("log.example/calls")
	if _, err := log.Append(context.Background(), [][]byte{[]byte("no record")}); err != nil {
		fmt.Println(err)
		return
	}
	m, err := monitor.Open(&monitor.Config{
		Log: log.Source(), Policy: log.Policy(), Dir: dir,
		Keys: evidence.Keys{"did:web:mcp.example.com#key-1": make(ed25519.PublicKey, ed25519.PublicKeySize)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	report, err := m.Look(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, fault := range report.Faults {
		fmt.Println(fault.Code, *fault.Index)
	}
	// Output: EVIDENCE_MALFORMED 0
}
