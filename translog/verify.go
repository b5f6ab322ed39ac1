package translog

import (
	"errors"
)

// Verify checks, offline, that entry is in a log of the policy: the proof's
// checkpoint is signed by the log's key and cosigned by the quorum, and the
// proof leads from the entry's leaf hash to the checkpoint's root. The error is
// a [*RejectedError] that keeps the checkpoint and the proof.
func (p *Policy) Verify(entry []byte, proof *Proof) (*Inclusion, error) {
	return nil, errors.New("translog: not yet")
}

// VerifyLeaf is [Policy.Verify] for a caller who holds the leaf hash of an
// entry (see [LeafHash]) and not the entry. Most users want Verify.
func (p *Policy) VerifyLeaf(leaf [32]byte, proof *Proof) (*Inclusion, error) {
	return nil, errors.New("translog: not yet")
}

// VerifyCheckpoint checks a signed note as a checkpoint of a log of the policy,
// with the quorum of witnesses.
func (p *Policy) VerifyCheckpoint(note []byte) (*Checkpoint, error) {
	return nil, errors.New("translog: not yet")
}

// VerifyConsistency checks that the newer checkpoint's tree begins with the
// older one's (RFC 6962, section 2.1.2). Both were verified before, or they
// would not be checkpoints. An older tree of size zero is refused: every tree
// is consistent with it, and a caller who asks believes to have learnt something.
func VerifyConsistency(older, newer *Checkpoint, proof [][32]byte) error {
	return errors.New("translog: not yet")
}

// CheckConsistency is the part of [VerifyConsistency] that is about trees alone,
// signed or not. It is for those who run a log and must know before they sign;
// most users want VerifyConsistency.
func CheckConsistency(older, newer Tree, proof [][32]byte) error {
	return errors.New("translog: not yet")
}
