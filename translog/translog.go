// Package translog verifies what a transparency log says: signed checkpoints,
// inclusion proofs, consistency between two checkpoints, cosignatures of
// witnesses. It reads no file and opens no connection.
//
// Most users need two calls: [ParsePolicy] reads whom to trust, and
// [Policy.Verify] checks that an entry is in a log of that policy:
//
//	policy, err := translog.ParsePolicy(policyFile)
//	proof, err := translog.ParseProof(proofFile)
//	inclusion, err := policy.Verify(entry, proof)
//
// The error is the verdict. A [*RejectedError] means that the evidence was
// examined and refused; it carries a stable [Code] and the checkpoints in
// question, because a fork without its two checkpoints proves nothing.
// Nothing but verification makes a [Checkpoint] or an [Inclusion].
//
// The formats are those of C2SP: tlog-checkpoint, tlog-proof, tlog-policy,
// tlog-cosignature and signed-note. spec/receipt.md says which choices were
// made where they leave one. Engines live below this package: tesseralog keeps
// a log on a disk, translogtest one in memory; tlogclient reads any log's tiles.
package translog

import (
	"context"
	"crypto/sha256"

	"github.com/transparency-dev/merkle/rfc6962"
)

const (
	// MaxEntryBytes is the size of the largest entry that a tile can hold
	// (C2SP tlog-tiles: a uint16 length).
	MaxEntryBytes = 1<<16 - 1
	// MaxTreeSize is the number of entries of the largest tree accepted. It
	// keeps every index in an int64 and every proof within MaxProofHashes.
	MaxTreeSize = 1<<63 - 1
	// MaxProofHashes is the number of hashes of the longest inclusion proof
	// that a tree of MaxTreeSize entries can need.
	MaxProofHashes = 63
)

// Appender is the one verb that every engine offers to those who write.
type Appender interface {
	// Append adds the entries to the log as consecutive leaves, in this
	// order, and returns the index of the first. When it returns nil they are
	// durable in the engine, though not yet under a published checkpoint.
	//
	// After an error, including one of ctx, a prefix of the entries may be in
	// the log: compare the engine's size and last entries before trying again.
	// It is settled by then; none enters the log later. An empty call, an empty
	// entry and one of more than MaxEntryBytes are refused and leave the log as
	// it was.
	Append(ctx context.Context, entries [][]byte) (first uint64, err error)
}

// LeafHash returns the Merkle leaf hash of an entry (RFC 6962, section 2.1).
func LeafHash(entry []byte) (hash [32]byte) {
	h := sha256.New() // which is on the stack here, and that of rfc6962.DefaultHasher on the heap
	h.Write([]byte{rfc6962.RFC6962LeafHashPrefix})
	h.Write(entry)
	h.Sum(hash[:0])
	return hash
}

// CheckEntries refuses what no engine may accept: an empty call, an empty entry,
// one of more than MaxEntryBytes. Engines call it first in Append. The error is
// a [*RejectedError] with [CodeEntryInvalid].
func CheckEntries(entries [][]byte) error {
	if len(entries) == 0 {
		return reject(CodeEntryInvalid, "there are no entries")
	}
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return err
		}
	}
	return nil
}
