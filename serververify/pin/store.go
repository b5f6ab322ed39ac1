package pin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/touchmark-dev/touchmark/serververify"
)

// A Mode says what happens to a server that has no pin. The zero Mode refuses it.
type Mode uint8

const (
	// AllowListOnly refuses servers without a pin, and lists of tools that
	// nobody approved.
	AllowListOnly Mode = iota
	// TrustOnFirstUse pins a server that was verified, and the tools that it
	// lists, when it is met for the first time.
	TrustOnFirstUse
)

// A Config configures a [Store]. The zero Config, and nil, is the strict one.
type Config struct {
	Mode Mode

	// FirstUseFor, if not zero, is how long a pin lasts that TrustOnFirstUse
	// made; the server is met for the first time again after it.
	FirstUseFor time.Duration

	// Command is how refusals spell the program that edits the file:
	// "touchmark server pin" when "".
	Command string

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Store is a known-servers file. It is safe for concurrent use, and several
// processes may use one file: who changes it holds a lock, and readers see all
// of a change or nothing. Nothing is kept in memory.
type Store struct {
	path string
	cfg  Config
}

// Open returns the store in the file at path, which need not exist yet. A
// file that cannot be read is an error: it is never taken for an empty one.
func Open(path string, cfg *Config) (*Store, error) { return nil, errors.New("pin: not built") }

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

// List returns the pins in the order of the file.
func (s *Store) List() ([]Pin, error) { return nil, nil }

// Find returns the pin of an endpoint, which is made canonical first, and false
// when it has none.
func (s *Store) Find(endpoint string) (Pin, bool, error) { return Pin{}, false, nil }

// Add pins a server. FirstSeen is set when it is zero. An endpoint that has a
// pin already is an error: Remove or Rotate it.
func (s *Store) Add(ctx context.Context, p Pin) error { return nil }

// Remove removes the pin of an endpoint. It is an error when there is none.
func (s *Store) Remove(ctx context.Context, endpoint string) error { return nil }

// A Rotation replaces the key of a pin.
type Rotation struct {
	Endpoint string
	OldKey   string // the thumbprint that is pinned now; another one is an error
	NewKey   string // the thumbprint from now on

	// Statement is what [SignRotation] made with the old key, or "" when the
	// caller vouches for the change.
	Statement string
}

// Rotate replaces the key of a pin, and notes in the file on whose word.
func (s *Store) Rotate(ctx context.Context, r *Rotation) error { return nil }

// Approve makes the tool definitions with this digest the approved ones of an
// endpoint. They are those of the last list that was refused, see
// [Store.Pending], or of a list given to [Store.ApproveTools].
func (s *Store) Approve(ctx context.Context, endpoint, digest string) error { return nil }

// ApproveTools makes a list of tools the approved one of an endpoint, and
// returns its digest.
func (s *Store) ApproveTools(ctx context.Context, endpoint string, tools json.RawMessage) (string, error) {
	return "", nil
}

// Admit compares a server that was verified with its pin. It implements
// serververify.Admission.
func (s *Store) Admit(ctx context.Context, srv *serververify.Server) error { return nil }

// CheckTools compares the tools that a server lists, a JSON array of all its
// pages, with the approved ones. The error is a [*ToolsError] when they are
// not those.
func (s *Store) CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error {
	return nil
}

// At returns the checks of s for a server that is at endpoint and does not say
// so itself: one that was launched.
func (s *Store) At(endpoint string) (*Place, error) { return nil, nil }

// A Place is one endpoint of a [Store].
type Place struct {
	store    *Store
	endpoint string
}

// Admit is [Store.Admit] for a server at this place.
func (p *Place) Admit(ctx context.Context, srv *serververify.Server) error { return nil }

// CheckTools is [Store.CheckTools] for a server at this place.
func (p *Place) CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error {
	return nil
}

// Upstream returns the check of tools for a server at this place that has no
// identity, as gateway.Config.Tools wants it.
func (p *Place) Upstream() *Upstream { return &Upstream{p} }

// An Upstream is a server without an identity; see [Place.Upstream].
type Upstream struct{ place *Place }

// CheckTools is [Place.CheckTools].
func (u *Upstream) CheckTools(ctx context.Context, tools json.RawMessage) error { return nil }

// A ToolsError says that the tools of a server are not those that were
// approved. It unwraps to a [*serververify.UntrustedError].
type ToolsError struct {
	Endpoint string
	Approved string // digest; "" when none were approved
	Offered  string // digest
	Diff     string // lines that are safe to print, see [Diff]

	err *serververify.UntrustedError
}

func (e *ToolsError) Error() string { return e.err.Error() + "\n" + e.Diff }

// Unwrap returns the refusal.
func (e *ToolsError) Unwrap() error { return e.err }
