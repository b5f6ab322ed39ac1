package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog"
)

// digestLine begins the leaves of a log of digests. No entry begins with it: entries are JSON.
const digestLine = "touchmark/evidence-digest/v1\n"

// A LogForm says what the leaves of a log are (spec/evidence.md section 3.1). It holds for a whole log, and the genesis
// record of each stream in it says the same.
type LogForm string

// The forms of a log. The zero LogForm is FormRecord.
const (
	FormRecord LogForm = ""       // whole entries: who reads the log reads the records
	FormDigest LogForm = "digest" // hashes of entries, for logs that strangers read: the records are kept beside
)

// formRecordText is what FormRecord is called where something must be said. In records it is left out.
const formRecordText = "record"

// ParseLogForm reads "record" or "digest".
func ParseLogForm(text string) (LogForm, error) {
	switch text {
	case formRecordText:
		return FormRecord, nil
	case string(FormDigest):
		return FormDigest, nil
	}
	return FormRecord, fmt.Errorf("evidence: %.40q is not the form of a log: want %q or %q", text, formRecordText, FormDigest)
}

// String returns "record" or "digest".
func (f LogForm) String() string {
	if f == FormRecord {
		return formRecordText
	}
	return string(f)
}

// Leaf returns what a log of this form holds of an entry: the entry itself, which is not copied, or its digest.
func (f LogForm) Leaf(entry []byte) []byte {
	if f != FormDigest {
		return entry
	}
	sum := sha256.Sum256(entry)
	return append(append(make([]byte, 0, len(digestLine)+len(sum)), digestLine...), sum[:]...)
}

// LeafHash returns the RFC 6962 hash of the leaf that a log of this form holds of an entry.
func (f LogForm) LeafHash(entry []byte) Hash {
	if f != FormDigest {
		return Hash(translog.LeafHash(entry))
	}
	return DigestLeafHash(sha256.Sum256(entry))
}

// DigestLeafHash returns the RFC 6962 hash of the leaf of the entry that has this SHA-256.
func DigestLeafHash(digest Hash) Hash {
	var leaf [1 + len(digestLine) + len(digest)]byte // with the zero byte before it
	copy(leaf[1+copy(leaf[1:], digestLine):], digest[:])
	return sha256.Sum256(leaf[:])
}

// ParseDigest returns the SHA-256 of an entry that a leaf of a log of digests holds. ok is false for any other leaf.
func ParseDigest(leaf []byte) (digest Hash, ok bool) {
	if len(leaf) != len(digestLine)+len(digest) || string(leaf[:len(digestLine)]) != digestLine {
		return digest, false
	}
	return Hash(leaf[len(digestLine):]), true
}

// CheckLeaf refuses a leaf that no entry has in a log of this form, with the code EVIDENCE_LOG_FORM_MISMATCH. That a leaf
// of a log of whole entries is an entry is for [ParseEntry] to say: it refuses digests alone.
func (f LogForm) CheckLeaf(leaf []byte) error {
	switch _, digest := ParseDigest(leaf); {
	case f == FormDigest && !digest:
		return reject(CodeLogForm, "a leaf of %d bytes that is no digest, in a log of digests", len(leaf))
	case f != FormDigest && digest:
		return reject(CodeLogForm, "a digest, in a log of whole records")
	}
	return nil
}

// VerifyLeaf refuses a leaf that is not that of the entry in a log of this form (spec/evidence.md section 3.1).
func (f LogForm) VerifyLeaf(entry, leaf []byte) error {
	if err := f.CheckLeaf(leaf); err != nil {
		return err
	}
	if !bytes.Equal(f.Leaf(entry), leaf) {
		return reject(CodeLeafMismatch, "the leaf is that of another entry")
	}
	return nil
}

// FormOf tells from the hash of a leaf in which form a log has an entry; one hash is never that of both. The error is a
// [*RejectedError] with the code EVIDENCE_LEAF_MISMATCH when it is neither.
func FormOf(entry []byte, leaf Hash) (LogForm, error) {
	for _, f := range []LogForm{FormRecord, FormDigest} {
		if f.LeafHash(entry) == leaf {
			return f, nil
		}
	}
	return FormRecord, reject(CodeLeafMismatch, "the leaf is neither the entry nor its digest")
}

// VerifyReceipt verifies a receipt of an entry from a log of either form (spec/receipt.md section 5.1), and returns which
// it was. When the receipt proves neither, the error is the one for the entry as it is.
func VerifyReceipt(policy *translog.Policy, entry []byte, receipt *translog.Proof) (*translog.Inclusion, LogForm, error) {
	in, err := policy.Verify(entry, receipt)
	if translog.CodeOf(err) != translog.CodeInclusionInvalid {
		return in, FormRecord, err
	}
	if in, derr := policy.Verify(FormDigest.Leaf(entry), receipt); derr == nil {
		return in, FormDigest, nil
	}
	return nil, FormRecord, err
}

// VerifyReceipt verifies a receipt of an entry from a log of this form. A receipt from a log of the other form is refused
// with the code EVIDENCE_LOG_FORM_MISMATCH.
func (f LogForm) VerifyReceipt(policy *translog.Policy, entry []byte, receipt *translog.Proof) (*translog.Inclusion, error) {
	in, got, err := VerifyReceipt(policy, entry, receipt)
	if err == nil && got != f {
		return nil, reject(CodeLogForm, "the receipt is from a log of the form %q, and not %q", got, f)
	}
	return in, err
}

// check says whether there is such a form.
func (f LogForm) check() error {
	if f != FormRecord && f != FormDigest {
		return errors.New("evidence: LogForm is neither FormRecord nor FormDigest")
	}
	return nil
}
