package witness

import (
	"encoding/binary"
	"fmt"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
)

// A Key is the key of a witness. It signs cosignatures and nothing else: never
// use the key of a log. Make one with [NewKey].
type Key struct {
	signer   *translog.Signer
	vkey     string
	verifier note.Verifier
}

// NewKey makes a witness's key of a signer, whose name is the witness's.
func NewKey(signer *translog.Signer) (*Key, error) {
	vkey, err := fnote.VKeyToCosignatureV1(signer.VerifierKey())
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	v, err := fnote.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return &Key{signer: signer, vkey: vkey, verifier: v}, nil
}

// VerifierKey returns the public half, as a policy's witness line wants it.
func (k *Key) VerifierKey() string { return k.vkey }

// String returns the public half, so that printing a Key shows no secret.
func (k *Key) String() string { return k.vkey }

// cosign returns the signature line for the text of a checkpoint.
func (k *Key) cosign(text string, at time.Time) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, &cosigner{k, uint64(at.Unix())}) //nolint:gosec // after 1970
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	return signed[len(text)+1:], nil
}

// A cosigner is a key at one moment: formats' own reads the clock.
type cosigner struct {
	*Key
	at uint64 // Unix seconds
}

func (c *cosigner) Name() string    { return c.verifier.Name() }
func (c *cosigner) KeyHash() uint32 { return c.verifier.KeyHash() }

// Sign signs the text of a checkpoint with the time (C2SP tlog-cosignature).
func (c *cosigner) Sign(text []byte) ([]byte, error) {
	sig, err := c.signer.Sign(fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at, text))
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64(nil, c.at), sig...), nil
}
