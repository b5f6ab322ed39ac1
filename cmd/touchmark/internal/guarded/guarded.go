// Package guarded is the serving side of the command: a gateway in front of a
// server that it launches, with its journal and its log.
package guarded

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/gateway"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/translog"
)

// An Identity is who the gateway is.
type Identity struct {
	DID   did.DID
	Key   ed25519.PrivateKey
	KeyID string // DID URL of Key
	Badge string // empty: the gateway discloses nothing, and nobody can verify it

	Launch serververify.Launch // of this process; the zero Launch for none
}

// A Log is an open log, whichever engine keeps it.
type Log interface {
	translog.Appender
	evidence.LogReader
	evidence.Checkpointer
	Close(ctx context.Context) error
}

// A SharedLog is an open log that others append to as well.
type SharedLog interface {
	evidence.SharedLog
	Close(ctx context.Context) error
}

// A Config describes a gateway and the server behind it.
type Config struct {
	Identity Identity
	Policy   guard.Policy
	Follow   *policy.WatchConfig // instead of Policy: its file, which may change; the rest of it is filled in
	Service  guard.Policy        // is asked about what the policy allows; nil: nobody is
	Badges   *badge.Verifier     // nil: nobody's badge is accepted

	EvidenceDir string
	Log         func(context.Context) (Log, error)       // opens it; nil: the records stay in the journal
	LogForm     evidence.LogForm                         // what its leaves are
	Shared      func(context.Context) (SharedLog, error) // opens one that others append to, in place of Log

	Vault            func() (evidence.Vault, error) // opens it when the journal has a place; nil: private parts are in clear
	KeepParameters   bool
	PrivateRetention time.Duration // 0: as long as the journal has the record
	Retention        time.Duration // 0: for ever
	AllowRecordLoss  bool          // by Retention, where the log has digests alone
	MaxJournalBytes  int64         // 0: the disk is the bound

	AllowBearerUnsafe bool
	UnsafeShadow      bool // what is refused runs, but for what is final
	UnsafePlainHash   bool // records have the unsalted hash of arguments

	Facts    guard.Facts
	Limiter  guard.Limiter  // nil: no policy may ask that calls are counted
	Observer guard.Observer // nil: nobody is told

	Included, Cosigned guard.Confirmer // wait for the log; nil: no policy may ask for it

	Ledger func(*evidence.Ledger) // is told of the ledger, before anything is recorded that is waited for; may be nil

	// EgressEnforcedBy names what keeps the server to the hosts that the policy allows; empty: nothing does.
	EgressEnforcedBy string

	Tools    gateway.ToolChecker // judges the server's tools; nil accepts any
	Registry gateway.Registry    // says whether the server may be used; nil: it may

	Command       []string // the server
	In            io.Reader
	Out           io.WriteCloser
	ServerStderr  io.Writer
	Logger        *slog.Logger
	StartedNotice func() // is called when the gateway is about to serve; may be nil
}

// Times that the end of a gateway may take.
const (
	serverGrace = 3 * time.Second
	closeGrace  = 10 * time.Second
)

// A client may start the next gateway while the one before it still ends: that takes serverGrace and closeGrace at most.
const (
	lockPatience = serverGrace + closeGrace + 2*time.Second
	lockPause    = 50 * time.Millisecond
)

// Run serves until the client's stream ends.
func Run(ctx context.Context, cfg *Config) (err error) {
	if len(cfg.Command) == 0 {
		return errors.New("no server to put a guard in front of")
	}
	ledger, closeLedger, err := openEvidence(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLedger(context.WithoutCancel(ctx))) }()
	rules, stop, err := follow(ctx, cfg, ledger)
	if err != nil {
		return err
	}
	defer stop()
	if cfg.Service != nil {
		rules = authzen.All(rules, cfg.Service)
	}
	g, err := newGuard(cfg, rules, ledger)
	if err != nil {
		return err
	}
	defer func() { // before the ledger is closed
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		err = errors.Join(err, g.Flush(ctx))
	}()
	gw, err := newGateway(cfg, g)
	if err != nil {
		return err
	}
	if err := declare(ctx, cfg, rules, ledger); err != nil {
		return err
	}
	cmd := exec.Command(cfg.Command[0], cfg.Command[1:]...) //nolint:gosec // the operator names the server
	cmd.Stderr = cfg.ServerStderr
	server, err := gateway.Start(cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx), serverGrace)) }()
	if cfg.StartedNotice != nil {
		cfg.StartedNotice()
	}
	err = gw.Run(ctx, gateway.Pipe{R: cfg.In, W: cfg.Out}, server.Pipe)
	switch {
	case err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil: // asked to stop
		return nil
	default:
		return &BrokenError{err: err}
	}
}

// declare records what is unusual about the gateway before it serves.
func declare(ctx context.Context, cfg *Config, rules guard.Policy, recorder guard.Recorder) error {
	if cfg.Follow != nil && cfg.Service == nil && !cfg.UnsafeShadow && cfg.EgressEnforcedBy == "" {
		return nil // who follows the file has recorded its version
	}
	c := &evidence.Change{
		Subject: evidence.ChangeConfiguration, PolicyVersion: "none",
		Shadow: cfg.UnsafeShadow, BearerUnsafe: cfg.AllowBearerUnsafe, EgressEnforcedBy: cfg.EgressEnforcedBy,
	}
	if v, ok := rules.(guard.Versioned); ok {
		c.PolicyVersion = v.Version()
	}
	_, err := recorder.Record(ctx, &evidence.Draft{Change: c})
	return err
}

// Enforces returns the names of the constraints that the gateway enforces, or has
// enforced.
func (cfg *Config) Enforces() []string { return cfg.guard().EnforcedConstraints() }

// guard is what the gateway's guard is made of, but for policy, evidence and badges.
func (cfg *Config) guard() *guard.Config {
	gc := &guard.Config{
		AllowBearerUnsafe: cfg.AllowBearerUnsafe, UnsafeShadow: cfg.UnsafeShadow,
		Limiter: cfg.Limiter, Included: cfg.Included, Cosigned: cfg.Cosigned, Observer: cfg.Observer, Logger: cfg.Logger,
	}
	if cfg.EgressEnforcedBy != "" {
		gc.Enforces = []string{guard.ConstraintNetwork}
	}
	return gc
}

// A BrokenError says that a gateway ended because of the client or of the server
// behind it: one of them is gone, or cannot be understood.
type BrokenError struct{ err error }

func (e *BrokenError) Error() string { return e.err.Error() }
func (e *BrokenError) Unwrap() error { return e.err }

// follow returns the policy that decides. If its file may change, it is looked at until stop is called, and at once
// on SIGHUP.
func follow(ctx context.Context, cfg *Config, recorder guard.Recorder) (rules guard.Policy, stop func(), err error) {
	if cfg.Follow == nil {
		return cfg.Policy, func() {}, nil
	}
	wc := *cfg.Follow
	wc.Evidence, wc.BearerUnsafe, wc.Shadow = recorder, cfg.AllowBearerUnsafe, cfg.UnsafeShadow
	w, err := policy.Watch(&wc)
	if err != nil {
		return nil, nil, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, signals)
	}()
	return w, func() {
		signal.Stop(signals)
		cancel()
		<-ended
	}, nil
}

func newGuard(cfg *Config, rules guard.Policy, recorder guard.Recorder) (*guard.Guard, error) {
	gc := cfg.guard()
	gc.Policy, gc.Evidence = rules, recorder
	if cfg.Badges != nil {
		proofs, err := pop.NewVerifier(&pop.Config{
			Server: cfg.Identity.DID, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{}),
		})
		if err != nil {
			return nil, err
		}
		gc.Server, gc.Badges, gc.Proofs = cfg.Identity.DID, cfg.Badges, proofs
	}
	return guard.New(gc)
}

func newGateway(cfg *Config, g *guard.Guard) (_ *gateway.Gateway, err error) {
	out := &gateway.Config{Guard: g, Facts: cfg.Facts, Tools: cfg.Tools, Registry: cfg.Registry, Logger: cfg.Logger}
	if cfg.Identity.Badge != "" {
		out.Identity, err = serververify.NewIdentity(&serververify.IdentityConfig{
			DID: cfg.Identity.DID, Badge: serververify.StaticBadge(cfg.Identity.Badge), Signer: cfg.Identity.Key,
			KeyID: cfg.Identity.KeyID, Stdio: true, Launch: cfg.Identity.Launch,
			OnError: func(err error) {
				if cfg.Logger != nil {
					cfg.Logger.Error("identity", "error", err)
				}
			},
		})
		if err != nil {
			return nil, err
		}
	}
	return gateway.New(out)
}

// openEvidence opens the log, if there is one, and the ledger that feeds it.
func openEvidence(ctx context.Context, cfg *Config) (*evidence.Ledger, func(context.Context) error, error) {
	lc := &evidence.LedgerConfig{
		Dir: cfg.EvidenceDir, Server: cfg.Identity.DID, Key: cfg.Identity.Key, KeyID: cfg.Identity.KeyID,
		PlainHash: cfg.UnsafePlainHash, LogForm: cfg.LogForm, AllowNoLog: !cfg.hasLog(), Promise: cfg.hasLog(), Software: "touchmark gateway",
	}
	if err := cfg.keep(lc); err != nil {
		return nil, nil, fmt.Errorf("opening the evidence: %w", err)
	}
	closeLog, err := cfg.openLog(ctx, lc)
	if err != nil {
		return nil, nil, err
	}
	ledger, err := unlocked(ctx, func(ctx context.Context) (*evidence.Ledger, error) { return evidence.Open(ctx, lc) })
	if err != nil {
		return nil, nil, fmt.Errorf("opening the evidence: %w", errors.Join(err, closeLog(ctx)))
	}
	if cfg.Ledger != nil {
		cfg.Ledger(ledger)
	}
	return ledger, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, closeGrace)
		defer cancel()
		return errors.Join(ledger.Close(ctx), closeLog(ctx))
	}, nil
}

func (cfg *Config) hasLog() bool { return cfg.Log != nil || cfg.Shared != nil }

// openLog opens the log for a ledger, if there is one.
func (cfg *Config) openLog(ctx context.Context, lc *evidence.LedgerConfig) (closeLog func(context.Context) error, err error) {
	switch {
	case cfg.Shared != nil:
		log, err := cfg.Shared(ctx)
		if err != nil {
			return nil, err
		}
		lc.Shared = log
		return log.Close, nil
	case cfg.Log != nil:
		log, err := unlocked(ctx, cfg.Log)
		if err != nil {
			return nil, err
		}
		lc.Log = log
		return log.Close, nil
	}
	return func(context.Context) error { return nil }, nil
}

// unlocked opens what is kept for one process at a time. While another process has it, it asks again, for lockPatience.
func unlocked[T any](ctx context.Context, open func(context.Context) (T, error)) (T, error) {
	for until := time.Now().Add(lockPatience); ; {
		v, err := open(ctx)
		if !errors.Is(err, durable.ErrLocked) || time.Now().After(until) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, errors.Join(context.Cause(ctx), err)
		case <-time.After(lockPause):
		}
	}
}
