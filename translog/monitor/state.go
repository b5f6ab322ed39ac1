package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	dirFaults  = "faults"
	dirStreams = "streams"
	fileState  = "state.json"
	fileLeaves = "leaves"

	stateVersion = 2
)

// A state is what is durable between two looks. Files of hashes hold what is too much for it; of them, as much counts
// as the state says.
type state struct {
	Version    int           `json:"version"`
	Origin     string        `json:"origin"`
	Checkpoint []byte        `json:"checkpoint,omitempty"` // the last one that held, as a signed note
	Size       uint64        `json:"size"`                 // entries that were read and believed
	Range      [][]byte      `json:"range,omitempty"`      // compact range of these entries
	Reread     uint64        `json:"reread"`               // where rereading goes on
	Streams    []streamState `json:"streams,omitempty"`
	Promises   []string      `json:"promises,omitempty"` // that wait, compact JWS

	ReadTo   time.Time `json:"read_to,omitzero"` // when the last look began up to whose checkpoint the log was read
	Ahead    *waits    `json:"ahead,omitempty"`  // the first checkpoint after it
	Complete time.Time `json:"complete,omitzero"`
	Looked   time.Time `json:"looked,omitzero"` // when the last look began
	Stuck    []stuck   `json:"stuck,omitempty"`

	Journals map[string]*journalState `json:"journals,omitempty"` // and other sources of records, by their names

	// Of a log of digests.
	Form    string `json:"form,omitempty"`    // see formDigest
	Unread  uint64 `json:"unread,omitempty"`  // leaves whose records were not at hand
	Missing []lack `json:"missing,omitempty"` // leaves that no record belongs to, in their order, at most MaxMissing
	Excused uint64 `json:"excused,omitempty"` // records that gaps lack and that were put down to them
	Waits   *waits `json:"waits,omitempty"`
}

// A streamState is what is known of a stream beside the hashes of its records.
type streamState struct {
	ID     evidence.StreamID `json:"id"`
	Server did.DID           `json:"server"`
	Next   uint64            `json:"next"` // sequence number
	Head   evidence.Hash     `json:"head"`
	Index  uint64            `json:"index"` // in the log, of the record before Next
	Epoch  uint64            `json:"epoch"`
	Latest time.Time         `json:"latest"`
	Open   map[uint64]string `json:"open,omitempty"` // ids of decisions without outcome

	Missing uint64 `json:"missing,omitempty"` // records that were passed over, whether they came later or not
	Full    bool   `json:"full,omitempty"`    // there were more decisions without outcome than Open takes
}

type journalState struct {
	Stream evidence.StreamID `json:"stream,omitzero"`
	Next   uint64            `json:"next"` // records before it were compared
	From   uint64            `json:"from"` // records before it are not looked for any more
}

// What state.Form says; nothing for a log of whole records.
const (
	formDigest = "digest"
	formBare   = "digest, no records"
)

func (m *Monitor) form() string {
	switch {
	case !m.digests():
		return ""
	case m.library == nil:
		return formBare
	}
	return formDigest
}

// A lack is a leaf without a record.
type lack struct {
	Index   uint64 `json:"index"`
	Claimed bool   `json:"claimed,omitempty"` // a gap in a stream was put down to it
}

// A waits says since when something is missing for which there is still time, and up to which leaf that is so.
type waits struct {
	Size  uint64    `json:"size"`
	Since time.Time `json:"since"`
}

// A stuck says what the source of the log does not serve, and since when.
type stuck struct {
	What   string    `json:"what"`
	Since  time.Time `json:"since"`
	For    int64     `json:"for_ns,omitempty"` // what the looks since then stand for
	From   uint64    `json:"from,omitempty"`   // index at which it began
	Size   uint64    `json:"size,omitempty"`   // of the tree; it is served when that is read to its end
	Proofs int       `json:"proofs"`           // of other faults, at the end of the last look
}

// load reads what the last monitor with this directory left.
func (m *Monitor) load() error {
	data, err := durable.ReadFile(m.fsys, m.path(fileState), stateBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.state = &state{Version: stateVersion, Origin: m.origin, Form: m.form()}
	case err != nil:
		return fmt.Errorf("monitor: %w", err)
	default:
		m.state = new(state)
		if err := strictjson.UnmarshalStrict(data, m.state); err != nil {
			return fmt.Errorf("monitor: %q: %w", m.path(fileState), err)
		}
	}
	switch {
	case m.state.Version != stateVersion:
		return fmt.Errorf("monitor: %q is of version %d, want %d", m.path(fileState), m.state.Version, stateVersion)
	case m.state.Origin != m.origin:
		return fmt.Errorf("monitor: %q is about the log %q, the policy trusts %q: one directory for each log", m.cfg.Dir, m.state.Origin, m.origin)
	case m.state.Form != m.form():
		return fmt.Errorf("monitor: %q is about a log of the form %q, and this is %q: begin again in another directory", m.cfg.Dir, m.state.Form, m.form())
	}
	if m.state.Journals == nil {
		m.state.Journals = make(map[string]*journalState)
	}
	if m.leaves, err = openHashFile(m.files, m.path(fileLeaves), hashBytes, m.state.Size); err != nil {
		return err
	}
	for _, st := range m.state.Streams {
		if _, err := m.openStream(st); err != nil {
			return err
		}
	}
	names, err := m.fsys.ReadDir(m.path(dirFaults))
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			m.know(name)
		}
	}
	return nil
}

func (m *Monitor) openStream(st streamState) (*stream, error) {
	if m.streams[st.ID] != nil {
		return nil, fmt.Errorf("monitor: %q has the stream %s twice", m.path(fileState), st.ID)
	}
	f, err := openHashFile(m.files, m.path(filepath.Join(dirStreams, st.ID.String())), frameBytes, st.Next)
	if err != nil {
		return nil, err
	}
	if st.Open == nil {
		st.Open = make(map[uint64]string)
	}
	s := &stream{streamState: st, file: f}
	m.streams[st.ID] = s
	m.open += len(st.Open)
	return s, nil
}

// journal is what is known of a source of records.
func (m *Monitor) journal(name string) *journalState {
	if m.state.Journals[name] == nil {
		m.state.Journals[name] = new(journalState)
	}
	return m.state.Journals[name]
}

// save makes what was believed durable: first the hashes, then the state that counts them.
func (m *Monitor) save() error {
	if err := m.leaves.flush(); err != nil {
		return err
	}
	if m.library != nil {
		for name, from := range m.library.oldest() {
			m.journal(name).From = from
		}
	}
	m.state.Streams = m.state.Streams[:0]
	for _, s := range m.streams {
		if err := s.file.flush(); err != nil {
			return err
		}
		m.state.Streams = append(m.state.Streams, s.streamState)
	}
	slices.SortFunc(m.state.Streams, func(a, b streamState) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	data, err := json.Marshal(m.state)
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	if err := durable.WriteFile(m.fsys, m.path(fileState), data); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}
