package evidence_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

// A third party with the server's public key checks a record and one argument that the server disclosed.
func Example() {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	server := did.FromKey(pub)

	// The server, which would leave this to its ledger:
	salt := evidence.Salt{ /* 32 random bytes */ }
	params := &evidence.Params{Arguments: json.RawMessage(`{"path":"/tmp/x","pin":1234}`)}
	commitment, form := evidence.Commit(salt, params)
	entry, err := evidence.Sign(&evidence.Record{
		Header: evidence.Header{
			ID: "0b9a6f5e-6c1d-4e0a-9d0e-3f6c7d1b2a34", Stream: evidence.NewStreamID(), Epoch: 1, Sequence: 1,
			Previous: evidence.Hash{1}, Time: time.Now(), Server: server,
		},
		Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous},
			Method: "tools/call", Target: "read_file", Kind: evidence.Allow, PolicyVersion: "example",
			ParamsCommitment: commitment, ParamsForm: form,
		},
	}, server.KeyURL(), key)
	if err != nil {
		panic(err)
	}
	disclosure, err := evidence.Disclose(salt, params, "/arguments/path")
	if err != nil {
		panic(err)
	}

	// The third party:
	unverified, err := evidence.ParseEntry(entry)
	if err != nil {
		panic(err)
	}
	verified, err := unverified.Verify(evidence.Keys{server.KeyURL(): pub})
	if err != nil {
		panic(err)
	}
	fmt.Println(verified.Record().Decision.Kind, verified.Record().Decision.Target)
	fmt.Println(disclosure.Pointer(), string(disclosure.Value), disclosure.Check(verified))

	// Output:
	// allow read_file
	// /arguments/path "/tmp/x" <nil>
}
