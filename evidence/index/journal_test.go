package index

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

// A journalWriter writes a journal by spec/journal.md, without signatures and syncs: an index does not ask for them. What it
// writes depends on its seed alone.
type journalWriter struct {
	t        testing.TB
	dir      string
	segment  int64 // bytes, roughly
	rand     *rand.Rand
	world    *world
	journal  [16]byte
	file     *os.File
	salt     [16]byte
	number   uint64
	seq      uint64
	previous int64
	off      int64  // where the batch begins
	batch    []byte // that is not written yet
	perBatch int
	in       int // records in batch
	open     []*evidence.Record
	private  []byte
}

// A world has whom and what records are about.
type world struct {
	callers []did.DID
	targets []string
	tenants []string
	rules   []string
}

func newWorld(callers int) *world {
	w := &world{
		targets: []string{"read_file", "write_file", "delete_file", "file:///srv/notes.txt", "a\u202eb"},
		tenants: []string{"", "acme", "globex", "initech"}, rules: []string{"reads", "writes", "admin"},
	}
	for i := range callers {
		w.callers = append(w.callers, did.MustParse(fmt.Sprintf("did:web:a%d.example", i)))
	}
	return w
}

func newJournal(t testing.TB, dir string, segment int64, perBatch int) *journalWriter {
	j := &journalWriter{
		t: t, dir: dir, segment: segment, rand: rand.New(rand.NewPCG(1, 2)), world: newWorld(50), perBatch: perBatch,
		private: append(make([]byte, 33), 0, 0),
	}
	j.private[0] = 1
	binary.LittleEndian.PutUint64(j.journal[:], j.rand.Uint64())
	j.begin()
	j.add(&evidence.Record{Genesis: &evidence.Genesis{Software: "test"}})
	return j
}

func segmentFile(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d.journal", number))
}

func (j *journalWriter) check(err error) {
	if err != nil {
		j.t.Helper()
		j.t.Fatal(err)
	}
}

// begin begins a segment.
func (j *journalWriter) begin() {
	if j.file != nil {
		j.flush()
		j.previous = j.off
		j.check(j.file.Close())
	}
	j.number++
	for i := range j.salt {
		j.salt[i] = byte(j.rand.Uint32()) | 1
	}
	b := append([]byte("touchmark jrnl\x00\x01"), j.journal[:]...)
	b = append(b, j.salt[:]...)
	for _, n := range []uint64{j.number, j.seq, uint64(j.previous)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, make([]byte, 4092-len(b))...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	var err error
	j.file, err = os.OpenFile(segmentFile(j.dir, j.number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	j.check(err)
	_, err = j.file.Write(b)
	j.check(err)
	j.off = 4096
}

// flush writes the batch.
func (j *journalWriter) flush() {
	if len(j.batch) == 0 {
		return
	}
	j.batch = append(j.batch, make([]byte, (4096-len(j.batch)%4096)%4096)...)
	_, err := j.file.WriteAt(j.batch, j.off)
	j.check(err)
	j.off += int64(len(j.batch))
	j.batch, j.in = j.batch[:0], 0
}

func (j *journalWriter) frame(payload []byte) {
	back := len(j.batch)
	b := append(j.batch, j.salt[:4]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(back))
	sum := crc32.Update(0, castagnoli, j.salt[:])
	sum = crc32.Update(sum, castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(j.off)+uint64(back)))
	sum = crc32.Update(crc32.Update(sum, castagnoli, b[back+4:back+12]), castagnoli, payload)
	b = append(binary.LittleEndian.AppendUint32(b, sum), payload...)
	j.batch = append(b, make([]byte, (8-len(b)%8)%8)...)
}

const (
	testServer = "did:web:s.example"
	testKey    = testServer + "#1"
)

var testStart = time.Unix(1_790_000_000, 0).UTC()

// add adds a record in its place.
func (j *journalWriter) add(r *evidence.Record) *evidence.Record {
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:], j.rand.Uint64())
	binary.LittleEndian.PutUint64(id[8:], j.rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	h := hex.EncodeToString(id[:])
	r.Header = evidence.Header{
		ID: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], Stream: evidence.StreamID{1}, Epoch: 1,
		Sequence: j.seq, Previous: evidence.Hash{1}, Time: testStart.Add(time.Duration(j.seq) * time.Millisecond), Server: did.MustParse(testServer),
	}
	if j.seq == 0 {
		r.Previous = evidence.Hash{}
	}
	m, err := r.Message()
	j.check(err)
	entry := append([]byte(`{"kid":"`+testKey+`","record":`), m.Record()...)
	entry = append(append(append(entry, `,"sig":"`...), base64.RawURLEncoding.EncodeToString(make([]byte, 64))...), `"}`...)
	payload := append(make([]byte, 0, 4096), 1, 0, 0, 0)
	payload = binary.LittleEndian.AppendUint32(payload, uint32(len(entry)))
	payload = append(payload, make([]byte, 24)...)
	payload = append(append(payload, entry...), j.private...)
	j.frame(payload)
	j.seq++
	if j.in++; j.in >= j.perBatch {
		j.flush()
	}
	if j.off > j.segment {
		j.begin()
	}
	return r
}

// some adds n records of all kinds.
func (j *journalWriter) some(n int) {
	for range n {
		switch k := j.rand.IntN(20); {
		case k < 9 && len(j.open) > 0:
			i := j.rand.IntN(len(j.open))
			d := j.open[i]
			j.open = append(j.open[:i], j.open[i+1:]...)
			j.add(&evidence.Record{Outcome: &evidence.Outcome{DecisionID: d.ID, DecisionSequence: d.Sequence, Status: evidence.OutcomeUnknown}})
		case k == 19:
			j.add(&evidence.Record{})
		default:
			if r := j.add(&evidence.Record{Decision: j.decision()}); opens(r.Decision) {
				j.open = append(j.open, r)
			}
		}
	}
	j.flush()
}

func pick[T any](j *journalWriter, all []T) T { return all[j.rand.IntN(len(all))] }

func (j *journalWriter) decision() *evidence.Decision {
	d := &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool",
		Target: pick(j, j.world.targets), Rule: pick(j, j.world.rules), Tenant: pick(j, j.world.tenants), Kind: evidence.Allow,
		PolicyVersion: "p", ParamsCommitment: evidence.Hash{1}, ParamsForm: evidence.ParamsTree,
	}
	if d.Target == "a\u202eb" {
		d.Target, d.Capability = hashed(d.Target), "resource"
	}
	switch j.rand.IntN(4) {
	case 0:
		d.Caller = evidence.Caller{
			Auth: evidence.AuthBadge, DID: pick(j, j.world.callers), BadgeID: "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10", Issuer: "i", Level: "2", Assurance: "1",
		}
		d.BadgeHash = evidence.Hash{1}
	case 1:
		d.Channel = evidence.Channel{Scheme: "unix", Subject: fmt.Sprintf("uid:%d", j.rand.IntN(9))}
	}
	switch j.rand.IntN(6) {
	case 0:
		d.Kind, d.DenyReason = evidence.Deny, "TOOL_POLICY_DENIED"
	case 1:
		d.Kind, d.DenyReason, d.DenyCause = evidence.Deny, "TOOL_BADGE_INVALID", "BADGE_EXPIRED"
	case 2:
		d.Kind, d.DenyReason = evidence.RequireApproval, "APPROVAL_REQUIRED"
	}
	return d
}
