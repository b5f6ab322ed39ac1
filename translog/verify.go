package translog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode"

	fnote "github.com/transparency-dev/formats/note"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// Verify checks, offline, that entry is in a log of the policy: the proof's
// checkpoint is signed by the log's key and cosigned by the quorum, and the
// proof leads from the entry's leaf hash to the checkpoint's root. The error is
// a [*RejectedError] that keeps the checkpoint and the proof.
func (p *Policy) Verify(entry []byte, proof *Proof) (*Inclusion, error) {
	if err := checkEntry(entry); err != nil {
		return nil, err
	}
	return p.VerifyLeaf(LeafHash(entry), proof)
}

func checkEntry(entry []byte) error {
	if len(entry) == 0 {
		return reject(CodeEntryInvalid, "the entry is empty")
	}
	if len(entry) > MaxEntryBytes {
		return reject(CodeEntryInvalid, "the entry has %d bytes, a log holds at most %d", len(entry), MaxEntryBytes)
	}
	return nil
}

// VerifyLeaf is [Policy.Verify] for a caller who holds the leaf hash of an
// entry (see [LeafHash]) and not the entry. Most users want Verify.
func (p *Policy) VerifyLeaf(leaf [32]byte, proof *Proof) (*Inclusion, error) {
	if proof == nil {
		return nil, reject(CodeProofMalformed, "there is no proof")
	}
	if len(proof.Hashes) > MaxProofHashes {
		return nil, reject(CodeProofMalformed, "the proof has %d hashes, want at most %d", len(proof.Hashes), MaxProofHashes)
	}
	cp, err := p.VerifyCheckpoint(proof.Checkpoint)
	if err != nil {
		return nil, err
	}
	if err := checkInclusion(cp.tree, proof.Index, leaf, proof.Hashes); err != nil {
		err.Checkpoint, err.Proof = proof.Checkpoint, proof.Hashes
		return nil, err
	}
	return &Inclusion{index: proof.Index, leaf: leaf, checkpoint: cp}, nil
}

func checkInclusion(tree Tree, index uint64, leaf [32]byte, hashes [][32]byte) *RejectedError {
	if index >= tree.Size {
		return reject(CodeInclusionInvalid, "index %d is beyond the tree of %d entries", index, tree.Size)
	}
	err := merkle.VerifyInclusion(rfc6962.DefaultHasher, index, tree.Size, leaf[:], hashSlices(hashes), tree.Root[:])
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(merkle.RootMismatchError)):
		return reject(CodeInclusionInvalid, "the proof of entry %d does not lead to the root of size %d", index, tree.Size)
	default:
		return reject(CodeInclusionInvalid, "%d hashes do not fit entry %d of %d", len(hashes), index, tree.Size)
	}
}

func hashSlices(hashes [][32]byte) [][]byte {
	s := make([][]byte, len(hashes))
	for i := range hashes {
		s[i] = hashes[i][:]
	}
	return s
}

// VerifyCheckpoint checks a signed note as a checkpoint of a log of the policy,
// with the quorum of witnesses.
func (p *Policy) VerifyCheckpoint(raw []byte) (*Checkpoint, error) {
	cp, err := p.verifyCheckpoint(raw)
	if err != nil {
		err.Checkpoint = raw
		return nil, err
	}
	return cp, nil
}

func (p *Policy) verifyCheckpoint(raw []byte) (*Checkpoint, *RejectedError) {
	if len(raw) > MaxCheckpointBytes {
		return nil, reject(CodeCheckpointMalformed, "the checkpoint has %d bytes, want at most %d", len(raw), MaxCheckpointBytes)
	}
	if i := bytes.IndexFunc(raw, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
		return nil, reject(CodeCheckpointMalformed, "a control character, at byte %d", i)
	}
	// The first line only chooses which keys to try; nothing is believed yet.
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(raw, nil); !errors.As(err, &unverified) {
		return nil, reject(CodeCheckpointMalformed, "not a signed note")
	}
	origin, _, _ := bytes.Cut([]byte(unverified.Note.Text), []byte("\n"))
	log, ok := p.logs[string(origin)]
	if !ok {
		return nil, reject(CodeOriginUnknown, "the policy names no log %q", origin)
	}
	n, err := note.Open(raw, log.verifiers)
	if err != nil {
		return nil, log.noteError(err)
	}
	if !log.signed(n) {
		return nil, reject(CodeCheckpointSignatureInvalid, "witnesses signed, but no key of log %q", origin)
	}
	repeated, err := log.repeated(raw, n)
	if err != nil {
		rejected := log.noteError(err)
		rejected.Reason += ", in a line that repeats the key"
		return nil, rejected
	}
	sigs := append(n.Sigs, repeated...)
	if !strictSignatures(sigs) {
		return nil, reject(CodeCheckpointMalformed, "a signature of log %q or of a witness is not in its one encoding", origin)
	}
	tree, rejected := parseTree(n.Text)
	if rejected != nil {
		return nil, rejected
	}
	cp := &Checkpoint{origin: string(origin), tree: tree, note: bytes.Clone(raw)}
	return cp, p.countWitnesses(cp, sigs)
}

// noteError tells apart whose signature was wrong.
func (l *trustedLog) noteError(err error) *RejectedError {
	var invalid *note.InvalidSignatureError
	switch {
	case !errors.As(err, &invalid):
		return reject(CodeCheckpointSignatureInvalid, "no key that the policy trusts signed")
	case l.keys[keyID{invalid.Name, invalid.Hash}]:
		return reject(CodeCheckpointSignatureInvalid, "the signature of log key %s+%08x is not one", invalid.Name, invalid.Hash)
	default:
		return reject(CodeCosignatureInvalid, "the cosignature of key %s+%08x is not one", invalid.Name, invalid.Hash)
	}
}

// repeated verifies what note.Open passes over: the lines of a key behind its
// first one.
func (l *trustedLog) repeated(raw []byte, n *note.Note) ([]note.Signature, error) {
	var all []note.Signature
	for line := range strings.Lines(string(raw[len(n.Text)+1:])) {
		// note.Open has read every line already.
		name, encoded, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "\u2014 "), "\n"), " ")
		sig, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(sig) < 4 {
			return nil, errors.New("a signature line that cannot be read")
		}
		s := note.Signature{Name: name, Hash: binary.BigEndian.Uint32(sig), Base64: encoded}
		v, err := l.verifiers.Verifier(s.Name, s.Hash)
		if err != nil || slices.Contains(n.Sigs, s) {
			continue // of an unknown key, or verified
		}
		if !v.Verify([]byte(n.Text), sig[4:]) {
			return nil, &note.InvalidSignatureError{Name: s.Name, Hash: s.Hash}
		}
		all = append(all, s)
	}
	return all, nil
}

func (l *trustedLog) signed(n *note.Note) bool {
	for _, s := range n.Sigs {
		if l.keys[keyID{s.Name, s.Hash}] {
			return true
		}
	}
	return false
}

// strictSignatures reports whether the verified signatures are base64 without
// slack, which note.Open does not ask for.
func strictSignatures(sigs []note.Signature) bool {
	for _, s := range sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return false
		}
	}
	return true
}

// countWitnesses notes the first cosignature of each witness, all of which were
// verified, and asks for the quorum.
func (p *Policy) countWitnesses(cp *Checkpoint, sigs []note.Signature) *RejectedError {
	seen := make(map[string]bool)
	for _, s := range sigs {
		name, ok := p.witnesses[keyID{s.Name, s.Hash}]
		if !ok {
			continue
		}
		at, err := fnote.CoSigV1Timestamp(s)
		if err != nil || at.Unix() < 0 {
			return reject(CodeCosignatureInvalid, "the time of witness %q is beyond 2^63-1", name)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		cp.cosigs = append(cp.cosigs, Cosignature{Witness: name, Time: at.UTC()})
	}
	if !p.quorum.met(seen) {
		return reject(CodeWitnessQuorum, "%d known witnesses cosigned, which is no quorum", len(seen))
	}
	return nil
}
