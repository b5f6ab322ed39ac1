package guard_test

import (
	"testing"

	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

type privatePolicy struct {
	guard.Policy
	strict bool
}

func (p privatePolicy) StrictPrivacy() bool { return p.strict }

// TestPrivacyOfLedger: a guard is not made of a policy that demands privacy and of a ledger that records the plain hash.
func TestPrivacyOfLedger(t *testing.T) {
	server := badgetest.NewAgent(t)
	for _, hashes := range []bool{false, true} {
		l, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
			Dir: t.TempDir(), Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true, PlainHash: hashes,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, strict := range []bool{false, true} {
			_, err := guard.New(&guard.Config{Server: server.DID, Evidence: l, Policy: privatePolicy{guard.UnsafeAllowAll{}, strict}})
			if (err != nil) != (hashes && strict) {
				t.Errorf("plain hash %v, strict %v: %v", hashes, strict, err)
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
