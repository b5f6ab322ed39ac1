package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// smallJournal is a configuration that changes segments often.
func smallJournal(fsys durable.FS, dir string) journalConfig {
	return journalConfig{fs: fsys, dir: dir, segmentBytes: 32 << 10, maxPayload: 4 << 10}
}

func mustOpenJournal(t testing.TB, cfg journalConfig) *journal {
	t.Helper()
	j, err := openJournal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// payloadFor is what every test appends under an index: its content and length follow from the index.
func payloadFor(index uint64) []byte {
	p := make([]byte, 1+rand.New(rand.NewPCG(index, 1)).IntN(3000))
	_, _ = rand.NewChaCha8([32]byte{byte(index), byte(index >> 8)}).Read(p) // which never fails
	return append(fmt.Appendf(nil, "payload %d\n", index), p...)
}

// appendPayloads appends n payloads one at a time and waits for each.
func appendPayloads(t testing.TB, j *journal, n int) {
	t.Helper()
	for range n {
		p := payloadFor(j.next)
		c, err := j.append(0, p)
		if err != nil {
			t.Fatal(err)
		}
		<-c.done
		if c.err != nil {
			t.Fatal(c.err)
		}
	}
}

// readPayloads checks that the journal holds payloadFor(from), payloadFor(from+1)... and returns the index after the last.
func readPayloads(t testing.TB, fsys durable.FS, dir string, from uint64) uint64 {
	t.Helper()
	r, err := openJournalReader(fsys, dir, from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	for want := from; ; want++ {
		index, p, err := r.next()
		if errors.Is(err, io.EOF) {
			return want
		}
		if err != nil {
			t.Fatal(err)
		}
		if index != want || !bytes.Equal(p, payloadFor(want)) {
			t.Fatalf("payload %d is not what was appended as %d", index, want)
		}
	}
}

func TestJournalKeepsWhatWasAppended(t *testing.T) {
	dir := t.TempDir()
	cfg := smallJournal(durable.OS{}, dir)
	for round := uint64(0); round < 4; round++ {
		j := mustOpenJournal(t, cfg)
		if j.next != round*40 {
			t.Fatalf("round %d begins at index %d", round, j.next)
		}
		appendPayloads(t, j, 40)
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		if got := readPayloads(t, durable.OS{}, dir, 0); got != (round+1)*40 {
			t.Fatalf("read up to %d", got)
		}
	}
	for from := uint64(0); from <= 161; from++ {
		if got := readPayloads(t, durable.OS{}, dir, from); got != max(from, 160) {
			t.Fatalf("from %d: read up to %d", from, got)
		}
	}
	for _, name := range []string{segmentName(1), lockName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, tempName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed journal left %s: %v", tempName, err)
	}
}

func TestJournalConcurrentAppends(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenJournal(t, smallJournal(durable.OS{}, dir))
	const writers, each = 32, 25
	var wg sync.WaitGroup
	var mu sync.Mutex // holds index and content together, as a ledger's lock does
	for range writers {
		wg.Go(func() {
			for range each {
				mu.Lock()
				c, err := j.append(0, payloadFor(j.next))
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				if <-c.done; c.err != nil {
					t.Error(c.err)
				}
			}
		})
	}
	wg.Wait()
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if got := readPayloads(t, durable.OS{}, dir, 0); got != writers*each {
		t.Fatalf("read %d payloads, want %d", got, writers*each)
	}
}
