package evidence

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"
)

// A Draft is what a guard knows of a record before the ledger has placed it. Set exactly one of Decision,
// Outcome, Change and Refusals. The ledger does not change them.
type Draft struct {
	Decision *Decision
	Outcome  *Outcome
	Change   *Change
	Refusals *Refusals

	// Arguments and InputResponses are the parameters of a Decision, as the caller sent them. The record
	// commits to them and does not hold them. Absent, null and {} are the same.
	Arguments      json.RawMessage
	InputResponses json.RawMessage

	// Badge and Proof are the tokens of a Decision as they were presented, verified or not. The record holds
	// their hashes, [Private] the tokens.
	Badge string
	Proof string

	// Result is what an Outcome commits to: the octets of the answer. Nil means that there was none.
	Result []byte
}

// prepare does all the work on a record that does not need its place in the stream: salt, commitments, hashes
// of tokens, and text made fit for a record. The header is left zero.
func (d *Draft) prepare(plainHash bool) (*Record, *Private, error) {
	r := &Record{Change: d.Change}
	private := new(Private)
	if d.Decision != nil || d.Result != nil {
		rand.Read(private.Salt[:]) //nolint:errcheck // never fails, see crypto/rand
	}
	if d.Decision != nil {
		r.Decision = d.decision(private, plainHash)
	}
	if d.Outcome != nil {
		r.Outcome = d.outcome(private)
	}
	if d.Refusals != nil {
		r.Refusals = d.refusals()
	}
	if kind := r.Kind(); kind == "" || kind == KindHeartbeat {
		return nil, nil, errors.New("evidence: a draft has exactly one of Decision, Outcome, Change and Refusals")
	}
	return r, private, nil
}

func (d *Draft) decision(private *Private, plainHash bool) *Decision {
	out := *d.Decision
	for _, text := range []*string{&out.Method, &out.RequestID, &out.TxnID, &out.HopID, &out.TraceID, &out.Tenant} {
		*text = recordText(*text, maxText)
	}
	out.Claimed.makeText()
	out.Constraints.makeText()
	out.Target = recordText(out.Target, maxTarget)
	out.Channel.Subject = recordText(out.Channel.Subject, maxTarget)
	out.BadgeHash, private.Badge = keepToken(d.Badge)
	out.ProofHash, private.Proof = keepToken(d.Proof)
	out.ParamsCommitment, out.ParamsForm = Commit(private.Salt, &Params{d.Arguments, d.InputResponses})
	out.ParamsHash = Hash{}
	if plainHash && out.ParamsForm == ParamsTree {
		out.ParamsHash, _ = HashParams(d.Arguments) // cannot fail: the form says so
	}
	return &out
}

func keepToken(token string) (Hash, string) {
	if token == "" {
		return Hash{}, ""
	}
	hash := hashText(token)
	if len(token) > MaxTokenBytes {
		token = ""
	}
	return hash, token
}

func (d *Draft) outcome(private *Private) *Outcome {
	out := *d.Outcome
	out.Duration = min(max(out.Duration, 0), maxNumber*time.Nanosecond)
	out.ResultCommitment, out.ResultSize = Hash{}, 0
	if d.Result != nil {
		out.ResultCommitment = CommitResult(private.Salt, d.Result)
		out.ResultSize = uint64(len(d.Result))
	}
	return &out
}

// newRecordID returns a random UUID of version 4.
func newRecordID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var room [36]byte
	text := appendHex(room[:0], b[:4])
	for _, part := range [...][]byte{b[4:6], b[6:8], b[8:10], b[10:]} {
		text = appendHex(append(text, '-'), part)
	}
	return string(text)
}
