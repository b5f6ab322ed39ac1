package explorer_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// fixedTime is when the records of these tests were made.
var fixedTime = time.Date(2026, 9, 21, 14, 13, 21, 0, time.UTC)

// A world is a record that a server signed and a log has.
type world struct {
	entry, proof, policy []byte
	document             []byte // of a did:web
	vkey                 string
}

// newWorld signs a record about a rule of this name, under a did:web or else a did:key, and with a member zz_note that no
// version knows unless note is empty.
func newWorld(t *testing.T, rule string, web bool, note string) *world {
	t.Helper()
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
	public := key.Public().(ed25519.PublicKey)
	w, server := new(world), did.FromKey(public)
	kid := server.KeyURL()
	if web {
		server = did.MustParse("did:web:mcp.example.com")
		doc, err := did.NewDocument(server, did.DocumentKey{Key: public, Fragment: "key-1"})
		if err != nil {
			t.Fatal(err)
		}
		if w.document, err = doc.MarshalJSON(); err != nil {
			t.Fatal(err)
		}
		kid = server.String() + "#key-1"
	}
	w.entry = signedEntry(t, rule, kid, key)
	if note != "" {
		w.entry = withNote(t, w.entry, note, key)
	}
	l := translogtest.NewLog("log.example/world")
	if _, err := l.Append(t.Context(), [][]byte{[]byte("before"), w.entry, []byte("after")}); err != nil {
		t.Fatal(err)
	}
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := l.Prove(t.Context(), cp, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.proof, w.vkey = proofText(t, proof), l.VerifierKey()
	w.policy = []byte("log " + w.vkey + "\nquorum none\n")
	return w
}

// signedEntry signs a decision for the server of kid.
func signedEntry(t *testing.T, rule, kid string, key ed25519.PrivateKey) []byte {
	t.Helper()
	url, err := did.ParseURL(kid)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := evidence.Sign(&evidence.Record{
		Header: evidence.Header{
			ID: "0b9a6f5e-6c1d-4e0a-9d0e-3f6c7d1b2a34", Stream: evidence.StreamID{1}, Epoch: 1, Sequence: 1,
			Previous: evidence.Hash{1}, Time: fixedTime, Server: url.DID,
		},
		Decision: &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Target: "read_file", Rule: rule,
			Kind: evidence.Allow, PolicyVersion: "example", ParamsCommitment: evidence.Hash{2}, ParamsForm: evidence.ParamsTree,
		},
	}, kid, key)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// withNote adds the member zz_note to the record of an entry, and signs it again.
func withNote(t *testing.T, entry []byte, note string, key ed25519.PrivateKey) []byte {
	t.Helper()
	var e struct {
		KID    string         `json:"kid"`
		Record map[string]any `json:"record"`
		Sig    string         `json:"sig"`
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		t.Fatal(err)
	}
	e.Record["zz_note"] = note
	record, err := jcs.Marshal(e.Record)
	if err != nil {
		t.Fatal(err)
	}
	e.Sig = base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, append([]byte("touchmark/evidence/v1\n"), record...)))
	if entry, err = jcs.Marshal(&e); err != nil {
		t.Fatal(err)
	}
	return entry
}
