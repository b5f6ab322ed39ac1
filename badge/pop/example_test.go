package pop_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

// An agent proves with a call that it has its badge's key; the server checks the proof against the badge that
// it verified, and against the call that it is going to execute.
func Example() {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	agent := did.MustParse("did:web:agents.example:ada")
	server := did.MustParse("did:web:mcp.example.com")
	call := &pop.Call{Method: "tools/call", Target: "read_file", Arguments: json.RawMessage(`{"path":"/tmp/x"}`)}

	// The agent:
	txn := pop.NewTxnID()
	proof, err := pop.Sign(key, &pop.Statement{
		Call: call, Subject: agent, BadgeID: "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f", Server: server, TxnID: txn,
	})
	if err != nil {
		panic(err)
	}

	// The server:
	verifier, err := pop.NewVerifier(&pop.Config{Server: server, Replay: pop.NewMemoryReplay(nil)})
	if err != nil {
		panic(err)
	}
	presented := &pop.Presented{
		Proof: proof, TxnID: txn, Call: call,
		Key: key.Public(), BadgeID: "6d0c1b8e-55c1-4b0e-8d57-0b7a3c4d5e6f", Subject: agent,
		BadgeExpires: time.Now().Add(5 * time.Minute),
	}
	_, err = verifier.Verify(context.Background(), presented)
	fmt.Println("the call:", err)
	_, err = verifier.Verify(context.Background(), presented)
	fmt.Println("again:", pop.CodeOf(err))

	// Output:
	// the call: <nil>
	// again: CALL_PROOF_REPLAYED
}
