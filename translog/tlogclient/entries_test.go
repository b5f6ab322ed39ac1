package tlogclient_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

func TestScan(t *testing.T) {
	l := tiled(t, 3, 256, 300, 1025)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	for size, cp := range l.cps {
		for _, from := range []int{0, 1, 255, 256, 257, 299, 512, 1024, 1025} {
			if from > size {
				continue
			}
			next := from
			err := c.Scan(t.Context(), cp, uint64(from), func(index uint64, entry []byte) error {
				if index != uint64(next) || !bytes.Equal(entry, l.entries[next]) {
					t.Fatalf("size %d from %d: entry %d is %q, want entry %d", size, from, index, entry, next)
				}
				next++
				return nil
			})
			if err != nil || next != size {
				t.Errorf("size %d from %d: %v, visited up to %d", size, from, err, next)
			}
		}
	}
	if err := c.Scan(t.Context(), l.cps[3], 4, nil); err == nil {
		t.Error("a scan from beyond the tree succeeded")
	}
	stop := errors.New("stop")
	if err := c.Scan(t.Context(), l.cps[300], 0, func(uint64, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a visit that fails: %v", err)
	}
}

// A source that changes, leaves out or cuts an entry, or changes a hash before
// them, is found out.
func TestScanRefuses(t *testing.T) {
	for _, test := range []struct {
		file   string
		from   uint64
		change func([]byte) []byte
		unread bool
	}{
		{"tile/entries/001.p/44", 0, func(b []byte) []byte { b[5] ^= 1; return b }, false},
		{"tile/entries/001.p/44", 299, func(b []byte) []byte { b[5] ^= 1; return b }, false},
		{"tile/entries/000", 0, func(b []byte) []byte { b[5] ^= 1; return b }, false},
		{"tile/1/000.p/1", 280, func(b []byte) []byte { b[5] ^= 1; return b }, false},
		{"tile/entries/001.p/44", 0, func(b []byte) []byte { return b[:len(b)-1] }, true},
		{"tile/entries/001.p/44", 0, func([]byte) []byte { return nil }, true},
	} {
		l := tiled(t, 300)
		name := filepath.Join(l.dir, filepath.FromSlash(test.file))
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, test.change(data), 0o600); err != nil {
			t.Fatal(err)
		}
		err = tlogclient.New(tlogclient.Dir(l.dir), l.Policy()).Scan(t.Context(), l.cps[300], test.from, func(uint64, []byte) error { return nil })
		var rejected *translog.RejectedError
		var unread *tlogclient.SourceError
		if errors.As(err, &unread) != test.unread || errors.As(err, &rejected) == test.unread {
			t.Errorf("%s from %d: %v", test.file, test.from, err)
		}
	}
}

func TestScanProven(t *testing.T) {
	l := tiled(t, 3, 300, 1025, 5000)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	for size, cp := range l.cps {
		for _, from := range []int{0, 1, 255, 256, 300, 1025, 4095, 4096, 4999, 5000} {
			if from > size {
				continue
			}
			next := from
			err := c.ScanProven(t.Context(), cp, uint64(from), func(first uint64, entries [][]byte) error {
				if first != uint64(next) || len(entries) == 0 {
					t.Fatalf("size %d from %d: a portion begins with entry %d, want %d", size, from, first, next)
				}
				for _, entry := range entries {
					if !bytes.Equal(entry, l.entries[next]) {
						t.Fatalf("size %d from %d: entry %d is %q", size, from, next, entry)
					}
					next++
				}
				return nil
			})
			if err != nil || next != size {
				t.Errorf("size %d from %d: %v, visited up to %d", size, from, err, next)
			}
		}
	}
	if err := c.ScanProven(t.Context(), l.cps[3], 4, nil); err == nil {
		t.Error("a scan from beyond the tree succeeded")
	}
	stop := errors.New("stop")
	if err := c.ScanProven(t.Context(), l.cps[300], 0, func(uint64, [][]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a visit that fails: %v", err)
	}
}

// TestScanProvenShowsNothingElse: of a log that changed an entry, only the portions before it are visited.
func TestScanProvenShowsNothingElse(t *testing.T) {
	l := tiled(t, 5000)
	for file, want := range map[string]uint64{"tile/entries/000": 0, "tile/entries/015": 0, "tile/entries/016": 4096, "tile/entries/019.p/136": 4096} {
		name := filepath.Join(l.dir, filepath.FromSlash(file))
		genuine, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(genuine)
		changed[5] ^= 1
		if err := os.WriteFile(name, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		visited := uint64(0)
		err = tlogclient.New(tlogclient.Dir(l.dir), l.Policy()).ScanProven(t.Context(), l.cps[5000], 0, func(_ uint64, entries [][]byte) error {
			visited += uint64(len(entries))
			return nil
		})
		if translog.CodeOf(err) != translog.CodeInclusionInvalid || visited != want {
			t.Errorf("%s: %v, visited %d, want %d", file, err, visited, want)
		}
		if err := os.WriteFile(name, genuine, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
