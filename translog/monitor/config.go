package monitor

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// Defaults and limits.
const (
	DefaultMergeDelay    = 10 * time.Minute
	DefaultWithheldDelay = 6 * time.Hour
	DefaultReread        = 65_536 // entries a look

	MaxStreams  = 4096      // in one log
	MaxOpen     = 1 << 17   // decisions of one stream whose outcome has not come
	MaxOpenAll  = 1 << 20   // such decisions in all streams
	MaxGap      = 1 << 24   // records of one stream that are missing
	MaxPromises = 1 << 17   // that wait
	MaxFaults   = 256       // proofs of one code that are kept
	chunk       = 64 * 256  // entries that are read before they are believed
	chunkBytes  = 64 << 20  // or so many bytes, to the end of a bundle
	stateBytes  = 512 << 20 // of the file of the state

	lookStands = time.Hour        // at most, for what is not served: see Config.WithheldDelay
	bundleTime = 30 * time.Second // that a log may take to serve a bundle
)

// A View is a further place at which the log is seen: a mirror, another network, a witness's copy.
type View struct {
	Name   string // for reports
	Source tlogclient.Source
}

// A Config says what a [Monitor] follows. Log, Policy, Keys and Dir are needed.
type Config struct {
	// Log is where the log is read.
	Log tlogclient.Source

	// Views are looked at for their checkpoints, which must be of the same tree. A view that lags behind is no fault.
	Views []View

	// Policy trusts exactly one log. The checkpoints of Log must satisfy it, witnesses included.
	Policy *translog.Policy

	// Keys are those of the servers whose records are in the log, by kid. A record by any other key is a fault.
	Keys evidence.Keys

	// Dir keeps what the monitor knows and the proofs of faults. It is made if it is missing. One monitor at a time may
	// have it open.
	Dir string

	// Journal is the directory of the ledger whose records must be in the log. Empty means that there is none at hand.
	Journal string

	// LogForm is what the leaves of the log are; a leaf of the other form is a fault.
	LogForm evidence.LogForm

	// Records are where the records of a log of digests are, beside Journal, whose records are taken, too. Each must be in
	// the log before long, and each leaf must have one. Without any, digests are all that is looked at: Report.NotChecked
	// says what that leaves open.
	Records []RecordSource

	// RecordDelay is how long the record of a digest may be missing from Records, for copies that lag behind. 0 is not at
	// all. What comes after such a leaf waits with it. While a source cannot be read it is MergeDelay at least.
	RecordDelay time.Duration

	// MergeDelay is how old a record of the journal may be that is not in the log. 0 means [DefaultMergeDelay].
	MergeDelay time.Duration

	// WithheldDelay is how long the log may serve checkpoints and not what is in their trees. A look stands for the time since
	// the one before it, and for an hour at most; half a minute more is given for each 256 entries that were read. 0 means
	// [DefaultWithheldDelay].
	WithheldDelay time.Duration

	// Tolerance is how much earlier than the records before it a record may be. 0 is not at all.
	Tolerance time.Duration

	// Reread is the number of entries that each look reads once more, in turn through the whole log: a source that
	// changes what it served before is found out. 0 means [DefaultReread].
	Reread uint64

	// Timeout bounds each step of a look (spec/monitor.md section 3): a log or a view that answers late must not hold up what
	// is looked at elsewhere. What was read until then counts, and the next look goes on there. 0 means no bound.
	Timeout time.Duration

	// OnFault, if not nil, is called with each fault as soon as its proof is kept, those of Report.Faults in their order: a look
	// can take long after it. It is called on the goroutine of Look, and may call WriteMetrics.
	OnFault func(*Fault)

	// UnsafeSkipSignatures leaves the signatures of records unchecked: chains and hashes alone are, and a log can then
	// hold records that no server signed.
	UnsafeSkipSignatures bool

	// Time is the clock. Nil means time.Now.
	Time func() time.Time
}

// A Monitor follows a log. It is for one goroutine.
type Monitor struct {
	cfg    Config
	origin string
	client *tlogclient.Client
	fsys   durable.FS
	lock   io.Closer

	servers int               // whose keys are given
	library *library          // nil: records are in the log, or not at hand
	missed  map[[32]byte]bool // leaves of state.Missing
	broken  map[string]error  // sources of records that could not be read to their end in this look, by name
	seen    map[uint64]bool   // of a log of digests: how the hashes of the leaves begin

	files   *openFiles
	state   *state
	leaves  *hashFile // of the entries, by index
	streams map[evidence.StreamID]*stream
	open    int             // decisions without outcome, of all streams
	touched []touched       // streams, since begin
	was     mark            // before what is being read
	claims  []int           // of state.Missing, since then
	known   map[string]bool // ids of faults with a proof
	kept    map[Code]int    // how many of them
	over    map[Code]bool   // of these, one without a proof was told in this look
	last    Report          // of this look
	done    Report          // of the last one that ended
	total   map[Code]uint64 // faults since Open
	failed  uint64          // looks since Open that ended with an error
	stands  time.Duration   // what this look stands for: see Config.WithheldDelay
}

// Open makes a Monitor, which goes on where the last one with this Dir ended.
func Open(cfg *Config) (*Monitor, error) {
	switch {
	case cfg == nil || cfg.Log == nil || cfg.Policy == nil:
		return nil, errors.New("monitor: Config needs a Log and the Policy that trusts it")
	case len(cfg.Policy.Origins()) != 1:
		return nil, fmt.Errorf("monitor: the policy trusts %d logs; one monitor follows one", len(cfg.Policy.Origins()))
	case len(cfg.Keys) == 0:
		return nil, errors.New("monitor: Config has no Keys: every record would be a fault")
	case cfg.Dir == "":
		return nil, errors.New("monitor: Config has no Dir: a monitor that forgets finds no fork")
	case cfg.MergeDelay < 0 || cfg.Tolerance < 0 || cfg.RecordDelay < 0 || cfg.Timeout < 0 || cfg.WithheldDelay < 0:
		return nil, errors.New("monitor: MergeDelay, WithheldDelay, Tolerance, RecordDelay and Timeout must not be negative")
	}
	if err := cfg.checkRecords(); err != nil {
		return nil, err
	}
	m := &Monitor{
		cfg: *cfg, origin: cfg.Policy.Origins()[0], client: tlogclient.New(cfg.Log, cfg.Policy), fsys: durable.OS{},
		streams: make(map[evidence.StreamID]*stream), known: make(map[string]bool), total: make(map[Code]uint64), kept: make(map[Code]int),
		broken: make(map[string]error),
	}
	servers := make(map[string]bool)
	for kid := range cfg.Keys {
		server, _, _ := strings.Cut(kid, "#")
		servers[server] = true
	}
	m.servers = len(servers)
	m.files = &openFiles{fs: m.fsys, max: maxOpenFiles}
	if m.cfg.MergeDelay == 0 {
		m.cfg.MergeDelay = DefaultMergeDelay
	}
	if m.cfg.WithheldDelay == 0 {
		m.cfg.WithheldDelay = DefaultWithheldDelay
	}
	if m.cfg.Reread == 0 {
		m.cfg.Reread = DefaultReread
	}
	if m.cfg.Time == nil {
		m.cfg.Time = time.Now
	}
	if m.digests() {
		m.seen, m.missed = make(map[uint64]bool), make(map[[32]byte]bool)
		if sources := m.cfg.sources(); len(sources) > 0 {
			m.library = newLibrary(sources, m.broken, func(digest evidence.Hash) bool { return m.seen[short(evidence.DigestLeafHash(digest))] })
		}
	}
	if err := m.start(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// checkRecords refuses sources of records that mean nothing, or cannot be told apart.
func (c *Config) checkRecords() error {
	if c.LogForm != evidence.FormRecord && c.LogForm != evidence.FormDigest {
		return fmt.Errorf("monitor: LogForm %q is neither FormRecord nor FormDigest", c.LogForm)
	}
	if c.LogForm == evidence.FormRecord && len(c.Records) > 0 {
		return errors.New("monitor: Records are for a log of digests; this one has its records")
	}
	names := make(map[string]bool)
	for _, s := range c.sources() {
		if s.Name == "" || s.Read == nil || names[s.Name] {
			return fmt.Errorf("monitor: %q: each source of records has a Name of its own, and a Read", s.Name)
		}
		names[s.Name] = true
	}
	return nil
}

// sources are all places at which records are, the journal first.
func (c *Config) sources() []RecordSource {
	if c.Journal == "" {
		return c.Records
	}
	return append([]RecordSource{JournalRecords(c.Journal)}, c.Records...)
}

func (m *Monitor) digests() bool { return m.cfg.LogForm == evidence.FormDigest }

func (m *Monitor) start() (err error) {
	for _, dir := range []string{m.cfg.Dir, m.path(dirFaults), m.path(dirStreams)} {
		if err := durable.MkdirAll(m.fsys, dir); err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
	}
	if m.lock, err = m.fsys.Lock(m.path("lock")); err != nil {
		return fmt.Errorf("monitor: %q: %w", m.cfg.Dir, err)
	}
	if err := m.load(); err != nil {
		return err
	}
	m.was = m.mark()
	if m.library != nil {
		for _, s := range m.library.shelves {
			s.next = m.journal(s.source.Name).From
		}
	}
	return m.recall()
}

// Close releases the directory. What was found is in it already.
func (m *Monitor) Close() error {
	var errs []error
	for _, s := range m.streams {
		if s.file != nil {
			errs = append(errs, s.file.close())
		}
	}
	if m.leaves != nil {
		errs = append(errs, m.leaves.close())
	}
	if m.lock != nil {
		errs = append(errs, m.lock.Close())
	}
	return errors.Join(errs...)
}

func (m *Monitor) path(name string) string { return filepath.Join(m.cfg.Dir, name) }
