package evidence

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// Defaults of a ledger's bounds.
const (
	DefaultBacklog      = 100_000
	DefaultBacklogBytes = 256 << 20
	DefaultBacklogAge   = 10 * time.Minute
	DefaultOpenCalls    = 65_536
)

// LedgerConfig describes a ledger. Dir, Server, Key, KeyID and Log are needed; the zero value of every other
// field is its default.
type LedgerConfig struct {
	// Dir is the directory of the journal. It is made if it is missing. One ledger at a time may have it open.
	Dir string
	// Server is the DID of who keeps the records.
	Server did.DID
	// Key signs the entries. It must be an Ed25519 key.
	Key crypto.Signer
	// KeyID is the DID URL of the verification method of Server that Key belongs to.
	KeyID string

	// Log receives every entry, in order and once. It must also be a [LogReader], because without looking at
	// the log nobody can tell after a crash what is already in it, and should be a [Checkpointer], whose last
	// checkpoint the ledger keeps beside the journal. Nothing else may append to it: one ledger, one log.
	Log translog.Appender
	// Shared is a log that other ledgers append to as well, in place of Log.
	Shared SharedLog
	// LogForm is what the log holds of each entry. The genesis record says it, and it cannot change: Open refuses a
	// journal or a log of another form with [CodeLogForm].
	LogForm LogForm
	// AllowNoLog makes a ledger without a log: records are durable and chained, and nobody else sees them.
	AllowNoLog bool

	// Backlog, BacklogBytes and BacklogAge bound what is in the journal and not in the log: a number of
	// records, the bytes of their entries, and how long the first of them has waited. Beyond any of them,
	// decisions are refused. Zero means the default.
	Backlog      int
	BacklogBytes int64
	BacklogAge   time.Duration
	// OpenCalls bounds the decisions whose outcome is to come. Zero means the default.
	OpenCalls int

	// PlainHash makes decisions carry the unsalted hash of the arguments as well, which anybody can check a
	// guess against.
	PlainHash bool
	// Vault encrypts the private parts of records in the journal. Nil leaves them in clear, in files of mode 0600; then
	// they can be erased by rewriting the journal alone. Package vault has one.
	Vault Vault
	// KeepParameters keeps the parameters of decisions in their private parts, so that they can be disclosed later
	// without asking the caller for them ([Private.Arguments]). It needs Vault.
	KeepParameters bool
	// PrivateRetention is how long private parts are kept: then the keys of the vault that they were sealed with are
	// destroyed. What was recorded in clear, before there was a vault, is erased from the files of the journal. Either goes
	// by whole days in UTC, so that a private part is kept for up to a day longer. Zero means for as long as the journal is
	// kept.
	PrivateRetention time.Duration
	// Retention is how long records are kept in the journal once the log has been proven to have them: then whole files
	// are removed, with the private parts in them. The last 256 records stay. Zero means for ever. The Log must be a
	// [Prover], or Shared a [SharedProver]. One that has digests alone (LogForm) has none of the records: then
	// AllowRecordLoss is needed as well.
	Retention time.Duration
	// AllowRecordLoss says that records may be removed that nobody has then but who made a copy.
	AllowRecordLoss bool
	// MaxJournalBytes bounds the files of the journal. When they could become larger, decisions are refused with
	// [CodeJournalFull], and outcomes are still taken. Zero means that the disk is the bound.
	MaxJournalBytes int64
	// Notice is told what went wrong when records or private parts were to be removed. It is tried again in a minute.
	Notice func(error)
	// Promise makes each acknowledgement carry a signed promise ([Promise]) that the record will be in the log.
	Promise bool
	// Heartbeat is the longest time without a record: when it passes, a heartbeat is recorded, so that
	// records missing from the end of the stream are missed. Zero means no heartbeats.
	Heartbeat time.Duration
	// Software is recorded in the genesis record, for people.
	Software string

	// SegmentBytes is the size of the journal's files. Zero means 64 MiB, and less in a journal of few bytes.
	SegmentBytes int64
	// Time is the clock. Nil means time.Now.
	Time func() time.Time

	fs durable.FS // nil: durable.OS
}

func (c *LedgerConfig) hasLog() bool { return c.Log != nil || c.Shared != nil }

func (c *LedgerConfig) check() error {
	switch {
	case c.Dir == "":
		return errors.New("evidence: a ledger needs a directory; set Dir")
	case c.Server.IsZero():
		return errors.New("evidence: a ledger needs the DID of its server; set Server")
	case c.Key == nil:
		return errors.New("evidence: a ledger needs a key to sign with; set Key")
	case c.Log != nil && c.Shared != nil:
		return errors.New("evidence: a ledger has one log; set Log or Shared")
	case !c.hasLog() && !c.AllowNoLog:
		return errors.New("evidence: a ledger needs a log; set Log or Shared, or AllowNoLog to keep records where nobody else sees them")
	case !c.hasLog() && c.LogForm != FormRecord:
		return errors.New("evidence: LogForm is about a log, and there is none; set Log")
	case c.KeepParameters && c.Vault == nil:
		return errors.New("evidence: parameters are not kept in clear; set Vault, or leave KeepParameters out")
	case c.Backlog < 0 || c.BacklogBytes < 0 || c.BacklogAge < 0 || c.OpenCalls < 0 || c.Heartbeat < 0 || c.SegmentBytes < 0:
		return errors.New("evidence: a bound of the ledger is negative")
	}
	if err := c.LogForm.check(); err != nil {
		return err
	}
	if err := c.checkHouse(); err != nil {
		return err
	}
	public, ok := c.Key.Public().(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("evidence: a ledger signs with Ed25519, not with a key of type %T", c.Key.Public())
	}
	if c.Server.Method() == "key" && c.Server != did.FromKey(public) {
		return fmt.Errorf("evidence: Key is not that of the server %q", c.Server)
	}
	url, err := did.ParseURL(c.KeyID)
	if err != nil {
		return fmt.Errorf("evidence: KeyID is not the DID URL of a key: %w", err)
	}
	if url.DID != c.Server {
		return fmt.Errorf("evidence: KeyID %q is not a key of the server %q", c.KeyID, c.Server)
	}
	if _, ok := c.Log.(LogReader); c.Log != nil && !ok {
		return fmt.Errorf("evidence: a log of type %T cannot be read back; it must have the methods of LogReader", c.Log)
	}
	return nil
}

// withDefaults returns a copy in which every field has its value.
func (c *LedgerConfig) withDefaults() LedgerConfig {
	out := *c
	setDefault(&out.Backlog, DefaultBacklog)
	setDefault(&out.BacklogBytes, DefaultBacklogBytes)
	setDefault(&out.BacklogAge, DefaultBacklogAge)
	setDefault(&out.OpenCalls, DefaultOpenCalls)
	if out.Time == nil {
		out.Time = time.Now
	}
	if out.fs == nil {
		out.fs = durable.OS{}
	}
	return out
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// PlainHash reports whether decisions carry the unsalted hash of the arguments: see [LedgerConfig.PlainHash].
func (l *Ledger) PlainHash() bool { return l.cfg.PlainHash }
