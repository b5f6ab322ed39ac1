package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

// proofs makes one proof of each sort, by code.
func proofs(t *testing.T) (map[Code]fstest.MapFS, *fixture) {
	t.Helper()
	f := newFixture(t, nil)
	done := f.server.records(301)
	f.append(done...)
	f.want()
	small, err := f.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fork := f.log.Fork()
	twice := f.server.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 4 })
	broken := f.server.sign(heartbeat(), func(r *evidence.Record) { r.Previous = evidence.Hash{9} })
	f.server.follow(broken)
	f.server.header.Time = f.server.header.Time.Add(-1e12)
	early := f.server.next(heartbeat())
	f.server.next(heartbeat())
	f.append(done[4], twice, broken, early, f.server.next(heartbeat()), []byte("{}"))
	f.look()
	f.source.entries = func(n uint64, b []byte) []byte { return bytes.Replace(b, []byte(`"echo"`), []byte(`"exec"`), 1) }
	f.look()
	f.source.entries = nil
	f.source.checkpoint = func([]byte) []byte { return small.Note() }
	f.look()
	f.source.checkpoint = nil
	for range 20 {
		if _, err := fork.Append(t.Context(), [][]byte{[]byte("another")}); err != nil {
			t.Fatal(err)
		}
	}
	f.source.Source = fork.Source()
	f.look()
	all := make(map[Code]fstest.MapFS)
	for id := range f.m.known {
		dir := os.DirFS(filepath.Join(f.cfg.Dir, dirFaults, id))
		files := fstest.MapFS{}
		names, err := fs.ReadDir(dir, ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			data, err := fs.ReadFile(dir, e.Name())
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = &fstest.MapFile{Data: data}
		}
		fault, err := Check(dir, f.log.Policy(), f.cfg.Keys)
		if err != nil {
			t.Fatal(err)
		}
		all[fault.Code] = files
	}
	return all, f
}

// A proof from which anything is missing, or in which anything is another thing, shows nothing.
func TestCheckRefuses(t *testing.T) {
	all, f := proofs(t)
	for _, code := range []Code{
		Code(translog.CodeForked), Code(translog.CodeRolledBack), CodeEntryChanged, Code(evidence.CodeDuplicate),
		Code(evidence.CodeConflict), Code(evidence.CodePreviousMismatch), Code(evidence.CodeTimeReversed), Code(evidence.CodeGap),
		Code(evidence.CodeMalformed),
	} {
		if all[code] == nil {
			t.Errorf("no proof of %s was made", code)
		}
	}
	refused := func(name string, files fstest.MapFS) {
		t.Helper()
		var wrong *ProofError
		if _, err := Check(files, f.log.Policy(), f.cfg.Keys); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for code, files := range all {
		for name := range files {
			if name == fileCheckpoint && files[fileEntryProof] != nil {
				continue // the proofs hold their own
			}
			without := maps.Clone(files)
			delete(without, name)
			refused(string(code)+" without "+name, without)
			if name != fileFault && code != CodeEntryChanged {
				with := maps.Clone(files)
				with[name] = &fstest.MapFile{Data: append([]byte("x"), files[name].Data...)}
				refused(string(code)+" with another "+name, with)
			}
		}
		// The same files do not show another fault.
		for other := range all {
			if other == code {
				continue
			}
			var fault Fault
			if err := json.Unmarshal(files[fileFault].Data, &fault); err != nil {
				t.Fatal(err)
			}
			fault.Code = other
			text, err := json.Marshal(fault)
			if err != nil {
				t.Fatal(err)
			}
			with := maps.Clone(files)
			with[fileFault] = &fstest.MapFile{Data: text}
			refused(string(code)+" as "+string(other), with)
		}
	}
}

// Nobody can make a proof against a log or a server without its key.
func TestCheckNeedsTheKeys(t *testing.T) {
	all, f := proofs(t)
	other := newFixture(t, nil)
	for code, files := range all {
		if _, err := Check(files, other.log.Policy(), f.cfg.Keys); err == nil {
			t.Errorf("%s holds against another log", code)
		}
		if files[fileOther] == nil {
			continue
		}
		if _, err := Check(files, f.log.Policy(), newServer(t, "other.example.com").keys()); err == nil {
			t.Errorf("%s holds against another server", code)
		}
	}
}

func TestMaxProofBytes(t *testing.T) {
	_, f := proofs(t)
	files := fstest.MapFS{fileFault: &fstest.MapFile{Data: make([]byte, MaxProofBytes+1)}}
	if _, err := Check(files, f.log.Policy(), f.cfg.Keys); err == nil {
		t.Error("read")
	}
}
