package translog

import (
	"errors"

	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// VerifyConsistency checks that the newer checkpoint's tree begins with the
// older one's (RFC 6962, section 2.1.2). Both were verified before, or they
// would not be checkpoints. An older tree of size zero is refused: every tree
// is consistent with it, and a caller who asks believes to have learnt
// something. The error is a [*RejectedError] that keeps both checkpoints: one
// with [CodeForked] is evidence against the log by itself.
func VerifyConsistency(older, newer *Checkpoint, proof [][32]byte) error {
	err := checkCheckpoints(older, newer, proof)
	if err == nil {
		return nil
	}
	err.Older, err.Checkpoint, err.Proof = older.note, newer.note, proof
	return err
}

func checkCheckpoints(older, newer *Checkpoint, proof [][32]byte) *RejectedError {
	if older.origin != newer.origin {
		return reject(CodeConsistencyInvalid, "the checkpoints are of different logs, %q and %q", older.origin, newer.origin)
	}
	return checkTrees(older.tree, newer.tree, proof)
}

// CheckConsistency is the part of [VerifyConsistency] that is about trees alone,
// signed or not. It is for those who run a log and must know before they sign;
// most users want VerifyConsistency.
func CheckConsistency(older, newer Tree, proof [][32]byte) error {
	if err := checkTrees(older, newer, proof); err != nil {
		err.Proof = proof
		return err
	}
	return nil
}

// checkTrees does itself what merkle leaves open: it accepts any roots when
// the older tree is empty, and its errors do not tell a fork from a bad proof.
func checkTrees(older, newer Tree, proof [][32]byte) *RejectedError {
	switch {
	case older.Size > MaxTreeSize || newer.Size > MaxTreeSize:
		return reject(CodeConsistencyInvalid, "a tree has more than 2^63-1 entries")
	case newer.Size < older.Size:
		return reject(CodeRolledBack, "the newer tree has %d entries, the older %d", newer.Size, older.Size)
	case older.Size == 0:
		return reject(CodeConsistencyInvalid, "every tree is consistent with an empty one: there is nothing to verify")
	case newer.Size == older.Size && newer.Root != older.Root:
		return reject(CodeForked, "two trees of %d entries have different roots", newer.Size)
	case newer.Size == older.Size && len(proof) > 0:
		return reject(CodeConsistencyInvalid, "the trees are the same, but %d hashes come with them", len(proof))
	}
	err := merkle.VerifyConsistency(rfc6962.DefaultHasher, older.Size, newer.Size, hashSlices(proof), older.Root[:], newer.Root[:])
	switch mismatch := (merkle.RootMismatchError{}); {
	case err == nil:
		return nil
	case !errors.As(err, &mismatch):
		return reject(CodeConsistencyInvalid, "%d hashes do not fit sizes %d and %d", len(proof), older.Size, newer.Size)
	case [32]byte(mismatch.ExpectedRoot) == older.Root:
		return reject(CodeConsistencyInvalid, "the proof does not lead to the older root, of size %d", older.Size)
	default:
		return reject(CodeConsistencyInvalid, "the proof does not lead to the newer root, of size %d", newer.Size)
	}
}
