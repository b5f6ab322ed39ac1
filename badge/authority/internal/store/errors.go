package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// What an [*Error] says. Match them with errors.Is.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict: matches every *Error but those that match ErrNotFound; the state of the database does not
	// allow what was asked.
	ErrConflict = errors.New("conflict")
	// ErrExists: there is one already, with this id or name.
	ErrExists = errors.New("exists already")
	// ErrUsed: a challenge, a proof or an order that may be used once was used before.
	ErrUsed = errors.New("used before")
	// ErrExpired: a challenge, an order or a grant is past its end.
	ErrExpired = errors.New("expired")
	// ErrInactive: an agent is disabled or suspended, or an account disabled.
	ErrInactive = errors.New("not active")
	// ErrOwner: it belongs to another account.
	ErrOwner = errors.New("belongs to another account")
	// ErrLevel: the agent may not, or no longer, have that level or domain.
	ErrLevel = errors.New("level or domain not granted")
	// ErrRevoked: a grant, a key or a persistent account was revoked, retired or withdrawn.
	ErrRevoked = errors.New("revoked")
)

// An Error is a refusal by the state of the database: nothing was changed.
type Error struct {
	What string // of what kind the row is, such as "challenge"
	ID   string
	Kind error // one of the Err variables
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.What, e.ID, e.Kind) }

// Is reports whether the error is of a kind.
func (e *Error) Is(target error) bool {
	return target == e.Kind || target == ErrConflict && e.Kind != ErrNotFound
}

// IsBadText reports whether an error is about a text of the caller's that the database cannot hold.
func IsBadText(err error) bool { return sqlstore.IsBadText(err) }

// A LimitError is a refusal because something was done too often. Nothing was changed.
type LimitError struct {
	What, ID   string
	Max        int
	RetryAfter time.Duration // after which one more is allowed; at least a second
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s %q: limit of %d reached: try again in %v", e.What, e.ID, e.Max, e.RetryAfter)
}

func refuse(what, id string, kind error) error { return &Error{What: what, ID: id, Kind: kind} }
