package index

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// soakRecords is how many records TestSoak writes: 20,000, or what TOUCHMARK_SOAK_RECORDS says with TOUCHMARK_SOAK.
func soakRecords(t *testing.T) int {
	if os.Getenv("TOUCHMARK_SOAK") == "" {
		return 20_000
	}
	n, err := strconv.Atoi(os.Getenv("TOUCHMARK_SOAK_RECORDS"))
	if err != nil {
		return 1_000_000
	}
	t.Logf("%d records", n)
	return n
}

// TestSoak makes the index of a large journal and asks it for a hundred records in several ways. It says how long that
// takes, and fails where the answers are not full.
func TestSoak(t *testing.T) {
	n := soakRecords(t)
	dir := t.TempDir()
	if place := os.Getenv("TOUCHMARK_SOAK_DIR"); place != "" {
		dir = place
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := evidence.Segments(dir); err != nil {
		j := newJournal(t, dir, 64<<20, 256)
		j.world = newWorld(10_000)
		j.some(n)
		if err := j.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	x := openIndex(t, dir)
	took := time.Since(began)
	var bytes, journal int64
	for _, name := range chunkNamesOf(t, x.cfg.Dir) {
		if info, err := os.Stat(name); err == nil {
			bytes += info.Size()
		}
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range segments {
		if info, err := os.Stat(name); err == nil {
			journal += info.Size()
		}
	}
	t.Logf("build: %d records in %v, %.0f a second; %.1f bytes a record of index, %.0f of journal; %d chunks, %d segments",
		x.Indexed(), took, float64(x.Indexed())/took.Seconds(), float64(bytes)/float64(n), float64(journal)/float64(n), len(x.chunks), len(segments))
	middle := testStart.Add(time.Duration(n/2) * time.Millisecond)
	for _, q := range []struct {
		name string
		Query
	}{
		{"newest", Query{Newest: true}},
		{"deny, newest", Query{Filter: Filter{Decision: evidence.Deny}, Newest: true}},
		{"one of 10,000 callers", Query{Filter: Filter{Caller: "did:web:a77.example"}}},
		{"one of 10,000 callers, newest", Query{Filter: Filter{Caller: "did:web:a77.example"}, Newest: true}},
		{"caller, tool, tenant, reason", Query{Filter: Filter{Caller: "did:web:a8.example", Target: "write_file", Tenant: "acme", Reason: "BADGE_EXPIRED"}}},
		{"tenant with outcomes, from the middle", Query{Filter: Filter{Tenant: "globex", Outcomes: true, Since: middle}}},
		{"a second in the middle", Query{Filter: Filter{Since: middle, Until: middle.Add(100 * time.Millisecond)}}},
		{"genesis", Query{Filter: Filter{Kind: evidence.KindGenesis}, Newest: true}},
		{"nothing", Query{Filter: Filter{Caller: "did:web:nobody.example"}}},
	} {
		q.Limit = 100
		soakQuery(t, dir, q.name, &q.Query)
	}
}

func chunkNamesOf(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+chunkSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// soakQuery asks with an index that was just opened, as a command does.
func soakQuery(t *testing.T, dir, name string, q *Query) {
	t.Helper()
	began := time.Now()
	x, err := Open(context.Background(), &Config{Journal: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	opened := time.Since(began)
	hits := 0
	for _, err := range x.Find(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		hits++
	}
	t.Logf("%-40s %3d hits, opened in %v, answered in %v", name, hits, opened.Round(10*time.Microsecond), (time.Since(began) - opened).Round(10*time.Microsecond))
}
