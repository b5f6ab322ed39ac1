package authority

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/keyring"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/translog"
)

// Defaults and bounds of [Config].
const (
	DefaultBadgesPerAgent       = 100   // an hour
	DefaultBadgesPerAccount     = 10000 // an hour
	DefaultChallengesPerAgent   = 10    // a minute, on each node
	DefaultChallengesPerAccount = 100   // a minute, on each node
	DefaultMaxLogDelay          = 10 * time.Minute
	DefaultKeyLead              = keyring.DefaultLead
	DefaultRequestTimeout       = 30 * time.Second

	// MaxBodyBytes is the length of the longest request body.
	MaxBodyBytes = 64 << 10
	// MaxAudience is how many verifiers a badge may name.
	MaxAudience = 16

	defaultChallengeTTL = 300 * time.Second
	maxChallengeTTL     = 600 * time.Second
	minChallengeTTL     = 10 * time.Second
)

// A Signers has the private halves of signing keys, by their ids: [KeyFiles], a PKCS#11 token, a KMS. It may be used by
// several goroutines.
type Signers interface {
	// Signer returns the signer of an Ed25519 key. An error means that this node cannot sign with it.
	Signer(ctx context.Context, keyID string) (crypto.Signer, error)
}

// A Log is the authority's transparency log.
type Log interface {
	translog.Appender
	// Size returns how many entries the log has.
	Size(ctx context.Context) (uint64, error)
	// Entry returns one of them. By the last one the log is known to be of the database's history.
	Entry(ctx context.Context, index uint64) ([]byte, error)
}

// Config says what an [Authority] is. The zero Config is refused.
type Config struct {
	// Issuer is the https origin that badges name, such as "https://registry.example". Required.
	Issuer string

	// Database is "sqlite:PATH" or "postgres://...": see [New]. Required.
	Database string

	// Signers has the signing keys. Required. Which of them signs, the database says.
	Signers Signers

	// Log takes an entry for each act. It is given to one node at a time; other nodes leave it nil and set LogElsewhere.
	Log Log

	// LogElsewhere says that another node ships the entries of this database to the log.
	LogElsewhere bool

	// AllowNoLog says that there is no log: mis-issued badges are then found by nobody.
	AllowNoLog bool

	// MaxLogDelay is the age of the oldest entry that is not in the log yet beyond which nothing more is issued. Zero
	// means DefaultMaxLogDelay.
	MaxLogDelay time.Duration

	// HashSubjects has the log name subjects by a hash instead of their DIDs (spec/issuance-log.md, "Subjects").
	HashSubjects bool

	// Resolver finds the documents of subjects. Documents that this authority hosts it answers itself. Required.
	Resolver did.Resolver

	// BadgesPerAgent and BadgesPerAccount are how many badges are issued within an hour. Zero means
	// DefaultBadgesPerAgent and DefaultBadgesPerAccount.
	BadgesPerAgent, BadgesPerAccount int

	// ChallengesPerAgent and ChallengesPerAccount are how many challenges each node gives out within a minute. The
	// former also bounds the proofs of an agent that are examined. Zero means DefaultChallengesPerAgent and
	// DefaultChallengesPerAccount.
	ChallengesPerAgent, ChallengesPerAccount int

	// KeyLead is how long a signing key is published before it signs, so that verifiers have it by then. Zero means
	// DefaultKeyLead.
	KeyLead time.Duration

	// DNS answers for domain validation. Nil means the resolvers of the system; one that validates DNSSEC is better.
	DNS DNS

	// AllowAnonymousOrders lets domains be validated without an account, and grants so be minted from by whoever
	// controls a domain.
	AllowAnonymousOrders bool

	// UnsafeValidateLoopback is for tests: http-01 then reaches loopback addresses, and nothing else, on this port.
	UnsafeValidateLoopback uint16

	// AllowCompat accepts the forms of requests of published clients that depart from the documents
	// (spec/issuance.md, "Compatibility").
	AllowCompat bool

	// ServerList returns the signed list of approved servers (spec/registry.md), which is served as it is. It is
	// signed by whoever approves servers and not by the authority, which does not look into it. Nil means none.
	ServerList func(ctx context.Context) ([]byte, error)

	// RequestTimeout bounds the handling of one request. Zero means DefaultRequestTimeout.
	RequestTimeout time.Duration

	// Logger is told of requests and faults. Nil means nobody is. No secret is ever logged.
	Logger *slog.Logger

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// complete checks the configuration and fills in defaults.
func (c *Config) complete() error {
	if err := checkIssuer(c.Issuer); err != nil {
		return err
	}
	logs := 0
	for _, set := range []bool{c.Log != nil, c.LogElsewhere, c.AllowNoLog} {
		if set {
			logs++
		}
	}
	switch {
	case c.Database == "":
		return errors.New("authority: no Database")
	case c.Signers == nil:
		return errors.New("authority: no Signers")
	case c.Resolver == nil:
		return errors.New("authority: no Resolver")
	case logs != 1:
		return errors.New("authority: set one of Log, LogElsewhere and AllowNoLog")
	case c.BadgesPerAgent < 0 || c.BadgesPerAccount < 0 || c.ChallengesPerAgent < 0 || c.ChallengesPerAccount < 0,
		c.MaxLogDelay < 0 || c.KeyLead < 0 || c.RequestTimeout < 0:
		return errors.New("authority: a bound is negative")
	}
	setDefault(&c.BadgesPerAgent, DefaultBadgesPerAgent)
	setDefault(&c.BadgesPerAccount, DefaultBadgesPerAccount)
	setDefault(&c.ChallengesPerAgent, DefaultChallengesPerAgent)
	setDefault(&c.ChallengesPerAccount, DefaultChallengesPerAccount)
	setDefault(&c.MaxLogDelay, DefaultMaxLogDelay)
	setDefault(&c.KeyLead, DefaultKeyLead)
	setDefault(&c.RequestTimeout, DefaultRequestTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// checkIssuer accepts an origin in the one spelling that badges have.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || "https://"+u.Host != issuer {
		return fmt.Errorf("authority: Issuer %q is not an https origin like \"https://registry.example\"", issuer)
	}
	d, err := did.FromWebURL(issuer)
	if err != nil {
		return fmt.Errorf("authority: Issuer %q: %w", issuer, err)
	}
	if origin, err := d.Origin(); err != nil || origin != issuer {
		return fmt.Errorf("authority: Issuer %q is written %q", issuer, origin)
	}
	return nil
}

// checkTTL returns the time from issue to expiry for a number of seconds in a member of a request; 0 means the default.
func checkTTL(member string, seconds int64) (time.Duration, error) {
	ttl := time.Duration(seconds) * time.Second
	switch {
	case seconds == 0:
		return badge.DefaultTTL, nil
	case seconds < int64(badge.MinTTL/time.Second) || seconds > int64(badge.MaxTTL/time.Second):
		return 0, refuse(400, CodeInvalidRequest, "%s is %d: from %d to %d seconds", member, seconds,
			badge.MinTTL/time.Second, badge.MaxTTL/time.Second)
	}
	return ttl, nil
}
