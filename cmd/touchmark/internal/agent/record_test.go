package agent

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/translog"
)

// The uuids of the records of the test.
const (
	ownID   = "3dba37bb-0871-4def-b95b-6655128dbe19"
	otherID = "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"
)

func TestCheckRecord(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	server := did.FromKey(key.Public().(ed25519.PublicKey))
	keys := evidence.Keys{server.KeyURL(): key.Public().(ed25519.PublicKey)}
	const origin = "log.example/calls"
	sent := sentCall{server: server, tool: "read_file", proof: "the call proof"}
	// record is the record of that call, unless it is changed.
	record := func(change func(*evidence.Record)) []byte {
		commitment, form := evidence.Commit(evidence.Salt{1}, &evidence.Params{})
		r := &evidence.Record{
			Header: evidence.Header{
				ID: ownID, Stream: evidence.StreamID{1}, Epoch: 1, Sequence: 3, Previous: evidence.Hash{2},
				Time: time.Unix(1790000000, 0), Server: server,
			},
			Decision: &evidence.Decision{
				Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Target: "read_file", Kind: evidence.Allow,
				PolicyVersion: "policy", ProofHash: sha256.Sum256([]byte(sent.proof)), ParamsCommitment: commitment, ParamsForm: form,
			},
		}
		if change != nil {
			change(r)
		}
		entry, err := evidence.Sign(r, server.KeyURL(), key)
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	promise := func(entry []byte, origin string) string {
		token, err := (&evidence.Promise{
			Server: server, LeafHash: translog.LeafHash(entry), Stream: evidence.StreamID{1}, Sequence: 3, LogOrigin: origin,
			IssuedAt: time.Unix(1790000000, 0), Deadline: time.Unix(1790000600, 0),
		}).Sign(server.KeyURL(), key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := record(nil)
	leaf := evidence.FormRecord.LeafHash(good).String()
	named := &mcpwire.Evidence{ID: ownID, LeafHash: leaf, Promise: promise(good, origin)}
	if err := sent.checkRecord(good, named, keys, origin); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*evidence.Record){
		"of another call":       func(r *evidence.Record) { r.Decision.ProofHash = sha256.Sum256([]byte("another call proof")) },
		"of a call without one": func(r *evidence.Record) { r.Decision.ProofHash = evidence.Hash{} },
		"of another id":         func(r *evidence.Record) { r.ID = otherID },
		"of another tool":       func(r *evidence.Record) { r.Decision.Target = "list_dir" },
		"of a hashed name":      func(r *evidence.Record) { r.Decision.Target = evidence.Hash{1}.String() },
		"of another method":     func(r *evidence.Record) { r.Decision.Method = "resources/read" },
		"of a heartbeat":        func(r *evidence.Record) { r.Decision = nil },
		"of a denial": func(r *evidence.Record) {
			r.Decision.Kind, r.Decision.DenyReason = evidence.Deny, "TOOL_POLICY_DENIED"
		},
	} {
		if err := sent.checkRecord(record(change), &mcpwire.Evidence{ID: ownID}, keys, origin); evidence.CodeOf(err) != evidence.CodeRecordInvalid {
			t.Errorf("a record %s: %v", name, err)
		}
	}
	anonymous, elsewhere := sent, sent
	anonymous.proof, elsewhere.server = "", did.MustParse("did:web:other.example")
	withBadge := record(func(r *evidence.Record) {
		r.Decision.Caller = evidence.Caller{Auth: evidence.AuthBadge, DID: server, BadgeID: otherID, Issuer: "https://ca.example", Level: "2", Assurance: "0"}
		r.Decision.BadgeHash = evidence.Hash{1}
	})
	for name, test := range map[string]struct {
		call  *sentCall
		entry []byte
		named mcpwire.Evidence
		keys  evidence.Keys
		code  evidence.Code
	}{
		"somebody's call, anonymous here": {&anonymous, withBadge, mcpwire.Evidence{ID: ownID}, keys, evidence.CodeRecordInvalid},
		"another server's":                {&elsewhere, good, mcpwire.Evidence{ID: ownID}, keys, evidence.CodeRecordInvalid},
		"signed by nobody known":          {&sent, good, mcpwire.Evidence{ID: ownID}, evidence.Keys{}, evidence.CodeKeyUnknown},
		"no entry at all":                 {&sent, []byte("entry"), mcpwire.Evidence{ID: ownID}, keys, evidence.CodeMalformed},
		"another entry promised":          {&sent, good, mcpwire.Evidence{ID: ownID, LeafHash: leaf, Promise: promise([]byte("x"), origin)}, keys, evidence.CodePromiseMismatch},
		"promised in the other form": {&sent, good, mcpwire.Evidence{
			ID: ownID, LeafHash: evidence.FormDigest.LeafHash(good).String(), Promise: promise(good, origin),
		}, keys, evidence.CodePromiseMismatch},
		"promised for another log": {&sent, good, mcpwire.Evidence{ID: ownID, LeafHash: leaf, Promise: promise(good, "log.example/other")}, keys, evidence.CodePromiseMismatch},
		"a promise that is none":   {&sent, good, mcpwire.Evidence{ID: ownID, Promise: "x"}, keys, evidence.CodePromiseMalformed},
	} {
		if err := test.call.checkRecord(test.entry, &test.named, test.keys, origin); evidence.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
}
