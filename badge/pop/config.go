package pop

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// DefaultSkew is how far clocks may differ unless the configuration says otherwise.
const DefaultSkew = 10 * time.Second

// maxSkew bounds the time for which a used proof has to be remembered.
const maxSkew = 60 * time.Second

// A Config says what a [Verifier] goes by.
type Config struct {
	// Server is the DID that calls must be meant for; required.
	Server did.DID

	// Audiences are the values of target_aud that name this server, such as its public origins. Its DID, and
	// the origin of a did:web, name it in any case.
	Audiences []string

	// Window is the longest time between iat and exp; 0 stands for MaxWindow, which is also the limit.
	Window time.Duration

	// Skew is how far the clocks of callers may be off, at most 60 s; 0 stands for DefaultSkew, anything
	// negative for no tolerance.
	Skew time.Duration

	// Replay remembers the proofs that were used; required.
	Replay ReplayStore

	// Started is when Replay began to remember. A proof signed before that, minus Skew, is refused, since
	// it may have been used then. Zero stands for the time of NewVerifier, which is right for a store in
	// memory; for a store that outlives the process, it is when that store was created.
	Started time.Time

	Time func() time.Time // nil stands for time.Now
}

// A Verifier checks call proofs for one server. It may be used by several goroutines.
type Verifier struct {
	server    string
	uri       []byte // TargetURI but for the method
	audiences []string
	window    time.Duration
	skew      int64 // seconds
	started   int64 // Unix seconds
	replay    ReplayStore
	now       func() time.Time
}

// NewVerifier refuses a configuration that could not tell one call from another.
func NewVerifier(cfg *Config) (*Verifier, error) {
	if cfg == nil {
		return nil, errors.New("call proof: no Config")
	}
	v := &Verifier{
		server:    cfg.Server.String(),
		uri:       []byte(TargetURI(cfg.Server, "")),
		audiences: append(slices.Clone(cfg.Audiences), cfg.Server.String(), ownAudience(cfg.Server)),
		window:    cfg.Window,
		replay:    cfg.Replay,
		now:       cfg.Time,
	}
	switch {
	case cfg.Server.IsZero():
		return nil, errors.New("call proof: no server: set Config.Server to the DID that calls are meant for")
	case cfg.Replay == nil:
		return nil, errors.New("call proof: no replay store: set Config.Replay, for example to NewMemoryReplay(nil)")
	case cfg.Window < 0 || cfg.Window > MaxWindow:
		return nil, fmt.Errorf("call proof: a window of %v: want at most %v", cfg.Window, MaxWindow)
	case cfg.Skew > maxSkew:
		return nil, fmt.Errorf("call proof: a skew of %v: want at most %v", cfg.Skew, maxSkew)
	}
	if v.window == 0 {
		v.window = MaxWindow
	}
	if v.now == nil {
		v.now = time.Now
	}
	switch {
	case cfg.Skew == 0:
		v.skew = int64(DefaultSkew / time.Second)
	case cfg.Skew > 0:
		v.skew = int64(cfg.Skew / time.Second)
	}
	started := cfg.Started
	if started.IsZero() {
		started = v.now()
	}
	v.started = started.Unix()
	return v, nil
}
