package evidence

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// An Erasure says whose private parts are to be erased. What is not set selects nothing.
type Erasure struct {
	// IDs are those of decisions, or of outcomes.
	IDs []string
	// Subject is a caller: all decisions about badges of this DID. A badge that was refused, and a call proof that was, are
	// taken at their word for it: the record says nothing of them, and nobody verifies them again.
	Subject did.DID
	// Vault opens the private parts in which tokens of Subject may be that were refused. Nil opens what is in clear.
	Vault Vault
	// Before selects all records that were made before a time.
	Before time.Time
	// Sealed selects private parts by their sealed form: those of no use any more, of [vault.Vault.Erased].
	Sealed func(sealed []byte) bool
}

// Erased says what was erased.
type Erased struct {
	Records int      // whose private parts were erased now
	Bytes   int64    // by which the journal is smaller
	Missing []string // of IDs, those that no record has
	Unread  int      // private parts that did not open, and may have a token of Subject that was refused
	NoToken int      // of those that opened, left as they are: what was refused is no token, and Subject is not in its text
}

// Erase erases private parts of records in a journal that no ledger has open. The outcome of a decision is erased with
// it. Entries, chain and log stay as they are, and with them what a record says of the caller. When Erase returns nil,
// the private parts are in no file of the journal; spec/journal.md sections 10 and 11 say what that means on which disks.
// The error wraps fs.ErrNotExist when there is no journal.
func Erase(ctx context.Context, dir string, what *Erasure) (_ *Erased, err error) {
	e := eraser{what: what, found: map[string]bool{}, decisions: map[uint64]bool{}}
	if !what.Subject.IsZero() {
		e.subject = []byte(what.Subject.String())
	}
	for _, id := range what.IDs {
		if !isUUID4(id) {
			return nil, fmt.Errorf("evidence: %.80q is not the id of a record, a lower-case UUID of version 4", id)
		}
		e.found[id] = false
	}
	j, err := openIdle(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	e.journal = j.id
	if err := eachFrame(j.cfg.fs, j.cfg.dir, 0, j.next, e.find); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	done, err := j.compact(ctx, e.edit)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	out := &Erased{Records: done.payloads, Bytes: done.bytes, Unread: e.unread, NoToken: e.noToken}
	for _, id := range what.IDs {
		if !e.found[id] {
			out.Missing = append(out.Missing, id)
		}
	}
	return out, nil
}

// An eraser finds the records, and then edits their frames.
type eraser struct {
	what      *Erasure
	journal   JournalID
	subject   []byte          // nil: nobody
	found     map[string]bool // by id
	decisions map[uint64]bool // by sequence number: they and their outcomes
	unread    int
	noToken   int
}

// find notes the sequence numbers of records that are meant.
func (e *eraser) find(seq uint64, f *frame) error {
	if !e.mentions(f.entry) && (e.subject == nil || f.closes || len(f.private) <= 1) {
		return nil
	}
	entry, err := ParseEntry(f.entry)
	if err != nil {
		return err
	}
	r := entry.Record
	if _, meant := e.found[r.ID]; meant {
		e.found[r.ID] = true
		e.decisions[seq] = true
	}
	if d := r.Decision; d != nil && e.subject != nil && (d.Caller.DID == e.what.Subject || e.shows(seq, f, d)) {
		e.decisions[seq] = true
	}
	return nil
}

// mentions is a fast way to say no.
func (e *eraser) mentions(entry []byte) bool {
	if e.subject != nil && bytes.Contains(entry, e.subject) {
		return true
	}
	for id := range e.found {
		if bytes.Contains(entry, []byte(id)) {
			return true
		}
	}
	return false
}

// shows reports whether the tokens of a decision that were refused are about the subject, by what they say.
func (e *eraser) shows(seq uint64, f *frame, d *Decision) bool {
	badgeRefused := !d.BadgeHash.IsZero() && d.Caller.DID.IsZero()
	proofRefused := !d.ProofHash.IsZero() && d.HopID == ""
	if !badgeRefused && !proofRefused || len(f.private) <= 1 {
		return false // believed, or erased
	}
	stored := &StoredRecord{Sequence: seq, private: f.private, journal: e.journal}
	private, err := stored.OpenPrivate(e.what.Vault)
	if err != nil {
		if !errors.Is(err, ErrPrivateErased) {
			e.unread++
		}
		return false
	}
	if !badgeRefused {
		private.Badge = ""
	}
	badge, badgeRead := e.names(private.Badge, "sub")
	proof, proofRead := e.names(private.Proof, "iss")
	if badge || proof {
		return true
	}
	if !badgeRead || !proofRead {
		e.noToken++
	}
	return false
}

// names reports whether a token says that it is the subject's, whatever its signature is worth, and whether it could be
// read. What cannot be read is the subject's when the DID is anywhere in it.
func (e *eraser) names(token, member string) (named, read bool) {
	if token == "" {
		return false, true
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 && !strings.ContainsAny(token, "\r\n") {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			claims := map[string]any{}
			if strictjson.Unmarshal(text, &claims) == nil {
				claim, isText := claims[member].(string)
				if _, there := claims[member]; isText || !there {
					return claim == string(e.subject), true
				}
			}
		}
	}
	if strings.Contains(token, string(e.subject)) {
		return true, false
	}
	for _, part := range parts {
		part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
		text, _ := base64.RawURLEncoding.DecodeString(part) // as far as it goes
		if bytes.Contains(text, e.subject) {
			return true, false
		}
	}
	return false, false
}

func (e *eraser) edit(seq uint64, payload []byte) ([]byte, error) {
	f, err := parseFrame(payload)
	if err != nil {
		return nil, err
	}
	meant := e.decisions[seq] || f.time.Before(e.what.Before) || f.closes && e.decisions[f.reference] ||
		e.what.Sealed != nil && len(f.private) > 0 && f.private[0] == privateSealed && e.what.Sealed(f.private)
	if !meant || len(f.private) <= 1 {
		return payload, nil
	}
	return f.withoutPrivate(), nil
}

// withoutPrivate returns the frame with its private part erased.
func (f *frame) withoutPrivate() []byte {
	out := *f
	out.private = []byte{privateErased}
	return out.bytes()
}
