package translogtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// A Witness cosigns whatever it is given, as cosignature/v1 (C2SP
// tlog-cosignature). It remembers nothing and checks nothing: it is for tests.
type Witness struct {
	key      ed25519.PrivateKey
	vkey     string
	verifier note.Verifier
}

// NewWitness returns a witness of this name under a fresh key. It panics when no
// witness can have the name.
func NewWitness(name string) *Witness {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return NewWitnessFor(name, ed25519.NewKeyFromSeed(seed))
}

// NewWitnessFor returns a witness under a key of the test's choice.
func NewWitnessFor(name string, key ed25519.PrivateKey) *Witness {
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	if vkey, err = fnote.VKeyToCosignatureV1(vkey); err != nil {
		panic(err)
	}
	v, err := fnote.NewVerifier(vkey)
	if err != nil {
		panic(err)
	}
	return &Witness{key: key, vkey: vkey, verifier: v}
}

// VerifierKey returns the public half, as a policy's witness line wants it.
func (w *Witness) VerifierKey() string { return w.vkey }

// Cosign returns the signed note with the witness's cosignature of this time
// added. It panics when raw is not a signed note.
func (w *Witness) Cosign(raw []byte, at time.Time) []byte {
	_, err := note.Open(raw, nil)
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		panic(err)
	}
	signed, err := note.Sign(unverified.Note, &cosigner{w, uint64(at.Unix())})
	if err != nil {
		panic(err)
	}
	return signed
}

// cosigner is a witness at one moment; formats' own signer reads the clock.
type cosigner struct {
	*Witness
	at uint64 // Unix seconds
}

func (c *cosigner) Name() string    { return c.verifier.Name() }
func (c *cosigner) KeyHash() uint32 { return c.verifier.KeyHash() }

func (c *cosigner) Sign(msg []byte) ([]byte, error) {
	sig := binary.BigEndian.AppendUint64(nil, c.at)
	return append(sig, ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at, msg))...), nil
}
