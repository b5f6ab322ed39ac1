package translog_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func newSigner(t testing.TB, origin string) (*translog.Signer, *translog.Policy) {
	t.Helper()
	skey, vkey, err := translog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := translog.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	return signer, policy
}

// grown returns a log in memory with n entries, and the entries.
func grown(t testing.TB, n int) (*translogtest.Log, [][]byte) {
	t.Helper()
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d", i)
	}
	l := translogtest.NewLog("log.example/grown")
	if _, err := l.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	return l, entries
}

func mustCheckpoint(t testing.TB, l *translogtest.Log) *translog.Checkpoint {
	t.Helper()
	cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func wantCode(t *testing.T, err error, want translog.Code) {
	t.Helper()
	if got := translog.CodeOf(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestProofMangled changes every byte of a proof: nothing of it may be accepted.
func TestProofMangled(t *testing.T) {
	l, entries := grown(t, 11)
	proof, err := l.Prove(t.Context(), mustCheckpoint(t, l), 4)
	if err != nil {
		t.Fatal(err)
	}
	text, err := proof.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, mask := range []byte{0x01, 0x02, 0x20, 0x80} {
			mangled := bytes.Clone(text)
			mangled[i] ^= mask
			p, err := translog.ParseProof(mangled)
			if err == nil {
				_, err = l.Policy().Verify(entries[4], p)
			}
			if err == nil {
				t.Errorf("accepted with byte %d (%q) changed to %q", i, text[i], mangled[i])
			}
		}
	}
	for n := range text {
		if p, err := translog.ParseProof(text[:n]); err == nil {
			if _, err := l.Policy().Verify(entries[4], p); err == nil {
				t.Errorf("accepted when cut to %d bytes", n)
			}
		}
	}
}

func TestZeroPolicyTrustsNobody(t *testing.T) {
	l, entries := grown(t, 2)
	cp := mustCheckpoint(t, l)
	proof, err := l.Prove(t.Context(), cp, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = new(translog.Policy).Verify(entries[0], proof)
	wantCode(t, err, translog.CodeOriginUnknown)
	if err := translog.VerifyConsistency(new(translog.Checkpoint), cp, nil); err == nil {
		t.Error("a zero checkpoint was consistent with something")
	}
}

func TestLimits(t *testing.T) {
	l, entries := grown(t, 2)
	cp := mustCheckpoint(t, l)
	proof, err := l.Prove(t.Context(), cp, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Policy().Verify(entries[0], nil)
	wantCode(t, err, translog.CodeProofMalformed)
	_, err = l.Policy().Verify(make([]byte, translog.MaxEntryBytes+1), proof)
	wantCode(t, err, translog.CodeEntryInvalid)
	long := &translog.Proof{Hashes: make([][32]byte, 64), Checkpoint: cp.Note()}
	_, err = l.Policy().Verify(entries[0], long)
	wantCode(t, err, translog.CodeProofMalformed)
	_, err = long.MarshalText()
	wantCode(t, err, translog.CodeProofMalformed)
	_, err = l.Policy().VerifyCheckpoint(make([]byte, translog.MaxCheckpointBytes+1))
	wantCode(t, err, translog.CodeCheckpointMalformed)
	_, err = translog.ParseProof(make([]byte, translog.MaxProofBytes+1))
	wantCode(t, err, translog.CodeProofMalformed)
	_, err = translog.ParsePolicy(bytes.Repeat([]byte("#\n"), translog.MaxPolicyBytes/2+1))
	wantCode(t, err, translog.CodePolicyMalformed)
	huge := translog.Tree{Size: 1 << 63}
	wantCode(t, translog.CheckConsistency(translog.Tree{Size: 1}, huge, nil), translog.CodeConsistencyInvalid)
	lines := strings.Repeat("— x.example AAAAAAAA\n", 101)
	_, err = l.Policy().VerifyCheckpoint(append(bytes.Clone(cp.Note()), lines...))
	wantCode(t, err, translog.CodeCheckpointMalformed)
}

func TestErrorsKeepTheEvidence(t *testing.T) {
	l, entries := grown(t, 11)
	cp := mustCheckpoint(t, l)
	proof, err := l.Prove(t.Context(), cp, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Policy().Verify(entries[5], proof)
	var r *translog.RejectedError
	if !errors.As(err, &r) || !bytes.Equal(r.Checkpoint, cp.Note()) || len(r.Proof) != len(proof.Hashes) {
		t.Errorf("the error does not keep the checkpoint and the proof: %v", err)
	}
	if translog.CodeOf(io.EOF) != "" {
		t.Error("an error of no verdict has a code")
	}
}

func TestCheckpointIsACopy(t *testing.T) {
	l, _ := grown(t, 2)
	raw := bytes.Clone(mustCheckpoint(t, l).Note())
	cp, err := l.Policy().VerifyCheckpoint(raw)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = 'X'
	if cp.Note()[0] == 'X' {
		t.Error("a verified checkpoint changed when the caller wrote to its bytes")
	}
}

func TestCosignatures(t *testing.T) {
	l, _ := grown(t, 2)
	w1, w2 := translogtest.NewWitness("w1.example"), translogtest.NewWitness("w2.example")
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness a %s\nwitness b %s\nquorum a\n",
		l.VerifierKey(), w1.VerifierKey(), w2.VerifierKey()))
	if err != nil {
		t.Fatal(err)
	}
	early, late := time.Unix(1770000000, 0).UTC(), time.Unix(1770000060, 0).UTC()
	cp, err := policy.VerifyCheckpoint(w2.Cosign(w1.Cosign(mustCheckpoint(t, l).Note(), late), early))
	if err != nil {
		t.Fatal(err)
	}
	want := []translog.Cosignature{{Witness: "a", Time: late}, {Witness: "b", Time: early}}
	if got := cp.Cosignatures(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Cosignatures = %v, want %v", got, want)
	}
	if !cp.CosignedAt().Equal(late) {
		t.Errorf("CosignedAt = %v, want %v", cp.CosignedAt(), late)
	}
	if !mustCheckpoint(t, l).CosignedAt().IsZero() {
		t.Error("a checkpoint without witnesses has a time")
	}
}

func TestSignerKeys(t *testing.T) {
	skey, vkey, err := translog.GenerateKey("log.example/keys")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	if signer.VerifierKey() != vkey || signer.Name() != "log.example/keys" {
		t.Errorf("ParseSigner gives %s, want %s", signer.VerifierKey(), vkey)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.Sign([]byte("message"))
	if err != nil || !verifier.Verify([]byte("message"), sig) || verifier.KeyHash() != signer.KeyHash() {
		t.Errorf("x/mod does not verify what the signer signs: %v", err)
	}
	for i := range skey {
		mangled := skey[:i] + string(skey[i]+1) + skey[i+1:]
		if s, err := translog.ParseSigner(mangled); err == nil && s.VerifierKey() == vkey {
			t.Errorf("ParseSigner accepts the key with byte %d changed", i)
		}
		if _, err := translog.ParseSigner(skey[:i]); err == nil || strings.Contains(err.Error(), skey[len(skey)-20:]) {
			t.Errorf("ParseSigner of %d bytes: %v", i, err)
		}
	}
	_, rest, _ := strings.Cut(skey, "keys+")
	for _, slack := range []string{skey + "\n", strings.Replace(skey, rest[:8], strings.ToUpper(rest[:8]), 1) + "\r\n"} {
		_, err := translog.ParseSigner(slack)
		wantCode(t, err, translog.CodeKeyMalformed)
	}
	for _, origin := range []string{"", "a b", "a+b", "a\x00b", "a\u2003b", "\xff"} {
		_, _, err := translog.GenerateKey(origin)
		wantCode(t, err, translog.CodeKeyMalformed)
		_, err = translog.NewSigner(origin, ed25519.NewKeyFromSeed(make([]byte, 32)))
		wantCode(t, err, translog.CodeKeyMalformed)
	}
}

func TestCheckEntries(t *testing.T) {
	if err := translog.CheckEntries([][]byte{{1}, make([]byte, translog.MaxEntryBytes)}); err != nil {
		t.Error(err)
	}
	for _, bad := range [][][]byte{nil, {}, {{1}, {}}, {make([]byte, translog.MaxEntryBytes+1)}} {
		wantCode(t, translog.CheckEntries(bad), translog.CodeEntryInvalid)
	}
}

// TestExhaustiveSmallTrees proves every entry of every tree of up to 33, and
// every pair of them consistent.
func TestExhaustiveSmallTrees(t *testing.T) {
	l := translogtest.NewLog("log.example/small")
	var cps []*translog.Checkpoint
	for size := range 34 {
		if size > 0 {
			if _, err := l.Append(t.Context(), [][]byte{fmt.Appendf(nil, "entry %d", size-1)}); err != nil {
				t.Fatal(err)
			}
		}
		cps = append(cps, mustCheckpoint(t, l))
	}
	for _, cp := range cps[1:] {
		for index := range cp.Size() {
			proof, err := l.Prove(t.Context(), cp, index)
			if err != nil {
				t.Fatal(err)
			}
			entry := fmt.Appendf(nil, "entry %d", index)
			in, err := l.Policy().Verify(entry, proof)
			if err != nil || in.LeafHash() != translog.LeafHash(entry) || in.Checkpoint().Root() != cp.Root() {
				t.Fatalf("entry %d of %d: %v", index, cp.Size(), err)
			}
			proof.Index ^= 1
			if _, err := l.Policy().Verify(entry, proof); err == nil {
				t.Fatalf("entry %d of %d was accepted at index %d", index, cp.Size(), proof.Index)
			}
		}
		for _, older := range cps[1:cp.Size()] {
			proof, err := l.Consistency(t.Context(), older, cp)
			if err == nil {
				err = translog.CheckConsistency(older.Tree(), cp.Tree(), proof)
			}
			if err != nil {
				t.Fatalf("%d to %d: %v", older.Size(), cp.Size(), err)
			}
		}
	}
}

func TestSignerDoesNotPrintItsKey(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0xab}, 32))
	signer, err := translog.NewSigner("log.example", private)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{signer, struct{ S *translog.Signer }{signer}} {
			printed := fmt.Sprintf(verb, value)
			for _, secret := range []string{"171 171 171", "abababab", "0xab, 0xab"} {
				if strings.Contains(printed, secret) {
					t.Errorf("%s prints the key: %s", verb, printed)
				}
			}
		}
	}
}

// otherKey has a public key of another kind than the one it should.
type otherKey struct{ public crypto.PublicKey }

func (k otherKey) Public() crypto.PublicKey { return k.public }
func (k otherKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no key")
}

func TestNewSignerRefusesOtherKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"ECDSA":       ec,
		"small order": otherKey{ed25519.PublicKey(append([]byte{1}, make([]byte, 31)...))},
		"too short":   otherKey{ed25519.PublicKey{1, 2, 3}},
	} {
		if _, err := translog.NewSigner("log.example", key); translog.CodeOf(err) != translog.CodeKeyMalformed {
			t.Errorf("%s: %v, want %s", name, err, translog.CodeKeyMalformed)
		}
	}
}

func TestOrigins(t *testing.T) {
	a, b := translogtest.NewLog("b.example"), translogtest.NewLog("a.example")
	policy, err := translog.ParsePolicy([]byte("log " + a.VerifierKey() + "\nlog " + b.VerifierKey() + "\nquorum none\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(policy.Origins(), " "); got != "a.example b.example" {
		t.Errorf("Origins = %q", got)
	}
}

func FuzzCheckpoint(f *testing.F) {
	for _, v := range vectors(f) {
		if v.Kind == "checkpoint" {
			f.Add([]byte(v.Policy), []byte(v.Checkpoint))
		}
	}
	f.Fuzz(func(t *testing.T, policyText, raw []byte) {
		policy, err := translog.ParsePolicy(policyText)
		if err != nil {
			return
		}
		cp, err := policy.VerifyCheckpoint(raw)
		if err != nil {
			if translog.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		again, err := policy.VerifyCheckpoint(cp.Note())
		if err != nil || again.Tree() != cp.Tree() || cp.Size() > translog.MaxTreeSize {
			t.Fatalf("accepted once, not twice: %v", err)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	for _, v := range vectors(f) {
		if v.Proof != "" {
			f.Add([]byte(v.Proof))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		proof, err := translog.ParseProof(text)
		if err != nil {
			wantCode(t, err, translog.CodeProofMalformed)
			return
		}
		again, err := proof.MarshalText()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("a proof has two texts: %q and %q, %v", text, again, err)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, v := range vectors(f) {
		if v.Kind == "policy" {
			f.Add([]byte(v.Policy))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := translog.ParsePolicy(text)
		if err != nil {
			wantCode(t, err, translog.CodePolicyMalformed)
			return
		}
		if len(policy.Origins()) == 0 {
			t.Fatal("a policy that trusts nobody was accepted")
		}
	})
}
