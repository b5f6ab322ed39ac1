package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A Report says what a look came to.
type Report struct {
	Time time.Time `json:"time"`

	// Complete is when the last look began up to whose checkpoint the log was read, and after which one came to its end
	// without an error. It is zero where there was none, and does not move while anything cannot be looked at.
	Complete time.Time `json:"complete,omitzero"`

	Size    uint64   `json:"size"` // entries that were read and believed
	Read    uint64   `json:"read"` // of them, in this look
	Reread  uint64   `json:"reread"`
	Streams int      `json:"streams"`
	Open    int      `json:"open"`    // decisions whose outcome has not come
	Waiting uint64   `json:"waiting"` // records of the journal that are not in the log yet, which is no fault at once
	Faults  []*Fault `json:"faults"`  // that were found now, and not before
	Known   int      `json:"known"`   // that were found again
	More    int      `json:"more"`    // that were found now, are counted, and not among Faults: see MaxFaults

	Broken []string `json:"broken,omitempty"` // names of the sources of records that could not be read to their end

	// Of a log of digests.
	Unread     uint64   `json:"unread,omitempty"`      // leaves whose records were not at hand, of all looks
	Excused    uint64   `json:"excused,omitempty"`     // records that are missing in streams and may be those of leaves without one, of all looks
	Late       uint64   `json:"late,omitempty"`        // leaves that wait with a record that is not there yet: see Config.RecordDelay
	NotChecked []string `json:"not_checked,omitempty"` // what could not be looked at, for want of records
}

// notChecked is what the digests alone do not show.
var notChecked = []string{
	"whether each digest is that of a record",
	"who signed the records, and what they say",
	"whether the records follow each other, without a gap",
	"whether the server says the same form of the log",
}

// Look looks at the log once (spec/monitor.md section 3). The error says what could not be looked at, which is no
// verdict; the Report is not nil, and tells what was found all the same.
func (m *Monitor) Look(ctx context.Context) (*Report, error) {
	m.last, m.over = Report{Time: m.cfg.Time().UTC()}, make(map[Code]bool)
	m.stands = min(max(m.last.Time.Sub(m.state.Looked), 0), lookStands)
	m.state.Looked = m.last.Time
	clear(m.broken)
	err := errors.Join(m.look(ctx), m.breaks())
	if ctx.Err() == nil {
		m.keepStuck()
	}
	if m.library != nil {
		m.library.rest()
	}
	before := m.state.Complete
	if err == nil {
		m.state.Complete = m.state.ReadTo
	}
	if err = errors.Join(err, m.save()); err != nil {
		m.state.Complete = before // what is not durable is not complete
		m.failed++
	}
	m.last.Complete = m.state.Complete
	m.last.Size, m.last.Streams = m.state.Size, len(m.streams)
	m.last.Open, m.last.Unread, m.last.Excused = m.open, m.state.Unread, m.state.Excused
	if m.form() == formBare {
		m.last.NotChecked = notChecked
	}
	m.done = m.last
	report := m.last
	return &report, err
}

// errSlow is why a step ended whose time was over.
var errSlow = errors.New("monitor: the time of a step is over")

// step calls do with the time that a step has.
func (m *Monitor) step(ctx context.Context, do func(context.Context) error) error {
	if m.cfg.Timeout == 0 {
		return do(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.cfg.Timeout, errSlow)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		err = fmt.Errorf("%w (after %v, which each step of a look has)", err, m.cfg.Timeout)
	}
	return err
}

// breaks reports the sources of records that could not be read.
func (m *Monitor) breaks() error {
	var errs []error
	for _, source := range m.cfg.sources() {
		if err := m.broken[source.Name]; err != nil {
			m.last.Broken = append(m.last.Broken, source.Name)
			errs = append(errs, &RecordsError{Source: source.Name, Err: err})
		}
	}
	return errors.Join(errs...)
}

func (m *Monitor) look(ctx context.Context) error {
	var cp *translog.Checkpoint
	if err := m.step(ctx, func(ctx context.Context) (err error) { cp, err = m.begin(ctx); return err }); err != nil || cp == nil {
		return err
	}
	errs := []error{m.compareViews(ctx, cp)}
	step := func(do func(context.Context, *translog.Checkpoint) error) func(context.Context, *translog.Checkpoint) error {
		return func(ctx context.Context, cp *translog.Checkpoint) error {
			return m.step(ctx, func(ctx context.Context) error { return do(ctx, cp) })
		}
	}
	for _, do := range []func(context.Context, *translog.Checkpoint) error{step(m.readNew), step(m.reread), m.readJournals, step(m.checkPromises)} {
		if ctx.Err() == nil { // what one of them cannot read hides nothing that another one finds
			errs = append(errs, do(ctx, cp))
		}
	}
	return errors.Join(errs...)
}

// begin returns the checkpoint that the log is looked at with, nil where what is there is a fault.
func (m *Monitor) begin(ctx context.Context) (*translog.Checkpoint, error) {
	cp, err := m.client.Checkpoint(ctx)
	if code := codeOf(err); code != "" {
		return nil, m.tell(ctx, nil, m.fault(code, "%v", err).says("the source of the log served this checkpoint").about(err))
	} else if err != nil {
		return nil, err
	}
	fault, err := m.follow(ctx, cp)
	if err != nil {
		return nil, err
	} else if fault != nil {
		return nil, m.tell(ctx, nil, fault)
	}
	m.state.Checkpoint = cp.Note()
	return cp, nil
}

// covers notes the time of the last checkpoint up to which the log was read: of what is not in it by then can be said that
// it is missing.
func (m *Monitor) covers(cp *translog.Checkpoint) {
	if ahead := m.state.Ahead; ahead != nil && m.state.Size >= ahead.Size {
		m.state.ReadTo, m.state.Ahead = ahead.Since, nil
	}
	if m.state.Size >= cp.Size() {
		m.state.ReadTo, m.state.Ahead = m.last.Time, nil
	} else if m.state.Ahead == nil {
		m.state.Ahead = &waits{Size: cp.Size(), Since: m.last.Time}
	}
}

// What a source of the log can withhold beside its checkpoints. A view has its name behind whatView.
const (
	whatTree   = "tree"   // the rest of the tree, or what shows that it continues the last one
	whatReread = "reread" // what was read before
	whatView   = "view "
)

// withheld notes what a source did not serve beside cp, if err says so: from an index on, of a tree of size. For hours that
// is no fault; a log that goes on with it hides what is there to be found. A look stands for the time since the one before
// it, and for lookStands at most: neither a monitor that did not run nor a checkpoint that could not be had is put down to
// the log.
func (m *Monitor) withheld(ctx context.Context, cp *translog.Checkpoint, err error, now stuck, reason string) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow) || !errors.As(err, new(*tlogclient.SourceError)) && codeOf(err) == "" {
		return err
	}
	i := slices.IndexFunc(m.state.Stuck, func(s stuck) bool { return s.What == now.What })
	if i < 0 {
		i, m.state.Stuck = len(m.state.Stuck), append(m.state.Stuck, stuck{})
	}
	s := &m.state.Stuck[i]
	switch {
	case s.What == "", s.Proofs != m.proofs(), // what proofs take time for is not withheld
		now.What == whatReread && s.From != now.From:
		now.Since, now.Proofs = m.last.Time, m.proofs()
		*s = now
	default:
		s.For += int64(m.stands)
	}
	allowed := m.cfg.WithheldDelay
	if now.What == whatTree { // one that is read, if slowly, is served
		allowed += time.Duration((m.state.Size-s.From)/tlogclient.BundleWidth) * bundleTime //nolint:gosec // as many as were read
	}
	held := time.Duration(s.For)
	if held <= allowed {
		return err
	}
	if now.What == whatTree { // the same fault, whatever the size is now
		reason = fmt.Sprintf("the tree of %d entries is not served to its end, or not what shows that it continues the last one", s.Size)
	}
	f := m.fault(CodeWithheld, "%s", reason).add(fileCheckpoint, cp.Note()).
		says(fmt.Sprintf("since %s the source of the checkpoint served such ones, in looks that stand for %v, and not this",
			s.Since.Format(time.RFC3339), held.Round(time.Second)))
	return errors.Join(err, m.tell(ctx, nil, f))
}

// serves notes that something is not withheld, up to a size.
func (m *Monitor) serves(what string, size uint64) {
	m.state.Stuck = slices.DeleteFunc(m.state.Stuck, func(s stuck) bool { return s.What == what && s.Size <= size })
}

func (m *Monitor) proofs() int { return len(m.known) - m.kept[CodeWithheld] }

// keepStuck ends a look: proofs that are kept in the next one take time from what may be withheld.
func (m *Monitor) keepStuck() {
	for i := range m.state.Stuck {
		m.state.Stuck[i].Proofs = m.proofs()
	}
}

// follow holds a checkpoint against the last one.
func (m *Monitor) follow(ctx context.Context, cp *translog.Checkpoint) (*Fault, error) {
	if m.state.Checkpoint == nil {
		return nil, nil
	}
	last, err := m.cfg.Policy.LogsOnly().VerifyCheckpoint(m.state.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("monitor: the checkpoint in %q: %w", m.path(fileState), err)
	}
	if cp.Size() >= last.Size() {
		fault, err := m.compare(ctx, last, cp, m.client)
		return fault, m.withheld(ctx, cp, err, stuck{What: whatTree, From: m.state.Size, Size: cp.Size()}, "")
	}
	if fault, err := m.compare(ctx, cp, last, m.client); err == nil && fault != nil && fault.Code == Code(translog.CodeForked) {
		return fault, nil
	}
	f := m.fault(Code(translog.CodeRolledBack), "a tree of %d entries, after one of %d", cp.Size(), last.Size())
	return f.says("the source of the log served checkpoint after checkpoint.other").
		add(fileCheckpoint, cp.Note()).add(fileEarlier, last.Note()), nil
}

// compareViews holds the checkpoints that others are shown against cp.
func (m *Monitor) compareViews(ctx context.Context, cp *translog.Checkpoint) error {
	var errs []error
	for _, v := range m.cfg.Views {
		err := m.step(ctx, func(ctx context.Context) error { return m.compareView(ctx, cp, v) })
		if err != nil {
			errs = append(errs, fmt.Errorf("view %q: %w", v.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Monitor) compareView(ctx context.Context, cp *translog.Checkpoint, v View) error {
	client := tlogclient.New(v.Source, m.cfg.Policy.LogsOnly())
	seen, err := client.Checkpoint(ctx)
	older, newer := seen, cp
	switch code := codeOf(err); {
	case code != "":
		return m.tell(ctx, nil, m.fault(code, "view %q: %v", v.Name, err).says("the view served this checkpoint").about(err))
	case err != nil:
		return err
	case seen.Size() > cp.Size():
		older, newer = cp, seen
	default:
		client = m.client
	}
	fault, err := m.compare(ctx, older, newer, client)
	if err != nil {
		return m.withheld(ctx, newer, err, stuck{What: whatView + v.Name, Size: seen.Size()},
			fmt.Sprintf("what shows that the tree which the view %q has is the same is not served", v.Name))
	}
	m.serves(whatView+v.Name, seen.Size())
	if fault == nil {
		return nil
	}
	if fault.Code == CodeTreeUnfounded && seen.Size() > cp.Size() {
		fault.says(fmt.Sprintf("the view %q served tiles that do not belong to checkpoint", v.Name))
	}
	return m.tell(ctx, nil, fault)
}

// compare tells whether the tree of newer, as its client has it, begins with that of older.
func (m *Monitor) compare(ctx context.Context, older, newer *translog.Checkpoint, client *tlogclient.Client) (*Fault, error) {
	if older.Size() == 0 {
		return nil, nil
	}
	var hashes [][32]byte
	var err error
	if older.Size() < newer.Size() {
		if hashes, err = client.ConsistencyHashes(ctx, older.Size(), newer.Size()); err != nil {
			return nil, err
		}
	}
	if translog.VerifyConsistency(older, newer, hashes) == nil {
		return nil, nil
	}
	forked := m.fault(Code(translog.CodeForked), "trees of %d entries with root %x and of %d with root %x do not continue each other",
		older.Size(), older.Root(), newer.Size(), newer.Root()).
		add(fileCheckpoint, newer.Note()).add(fileEarlier, older.Note())
	if older.Size() == newer.Size() {
		return forked, nil
	}
	// Only if the source's hashes belong to newer do they show what it begins with.
	root, err := client.RootWithin(ctx, older.Size(), newer.Size())
	if err != nil {
		return nil, err
	}
	if translog.CheckConsistency(translog.Tree{Size: older.Size(), Root: root}, newer.Tree(), hashes) == nil {
		return forked.add(fileConsistency, formatConsistency(root, hashes)), nil
	}
	return m.unfounded(newer, "the tiles do not add up to the root of a checkpoint"), nil
}

func (m *Monitor) unfounded(cp *translog.Checkpoint, format string, args ...any) *Fault {
	return m.fault(CodeTreeUnfounded, format, args...).
		says("the source of the log served tiles and entries that do not belong to checkpoint").add(fileCheckpoint, cp.Note())
}

func (m *Monitor) fault(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Reason: fmt.Sprintf(format, args...), Found: m.last.Time, Origin: m.origin, LogForm: string(m.cfg.LogForm)}
}

// says notes what the files of the proof do not show.
func (f *Fault) says(word string) *Fault {
	f.Word = word
	return f
}

// about adds the checkpoint that an error judged.
func (f *Fault) about(err error) *Fault {
	var r *translog.RejectedError
	if errors.As(err, &r) {
		f.add(fileCheckpoint, r.Checkpoint)
	}
	return f
}
