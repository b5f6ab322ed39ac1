package witness

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

func TestWitness(t *testing.T) {
	l, w := newLog(t, 9), newWitness(t, "w.example/1", 2)
	cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 0)})
	cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 3)})
	cosigned(t, w, &Request{Old: 3, Checkpoint: l.checkpoint(t, 3)}) // again
	cosigned(t, w, &Request{Old: 3, Proof: l.proof(t, 3, 9), Checkpoint: l.checkpoint(t, 9)})

	// What it knows, it knows after a restart.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := post(t, w, body(t, &Request{Old: 9, Checkpoint: l.checkpoint(t, 9)})); status != http.StatusInternalServerError {
		t.Errorf("status %d of a closed witness", status)
	}
	w = open(t, &w.cfg)
	status, contentType, answer := post(t, w, body(t, &Request{Checkpoint: l.checkpoint(t, 3)}))
	if status != http.StatusConflict || contentType != SizeType || answer != "9\n" {
		t.Errorf("got %d, %s, %q", status, contentType, answer)
	}
	if _, err := Open(&w.cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
}

// Every refusal of spec/witness.md section 3, in its order.
func TestWitnessRefuses(t *testing.T) {
	l := newLog(t, 9)
	fork := newLog(t, 3)
	fork.grow(1, 6)
	stranger := &testLog{signer(t, "log.example/other", 1), l.tree}
	imposter := &testLog{signer(t, origin, 9), l.tree}
	for name, tt := range map[string]struct {
		request Request
		status  int
	}{
		"no note":                       {Request{Old: 3, Checkpoint: []byte("text\n")}, http.StatusBadRequest},
		"an unknown log":                {Request{Checkpoint: stranger.checkpoint(t, 3)}, http.StatusNotFound},
		"another key":                   {Request{Old: 3, Checkpoint: imposter.checkpoint(t, 3)}, http.StatusForbidden},
		"an old size beyond":            {Request{Old: 4, Checkpoint: l.checkpoint(t, 3)}, http.StatusBadRequest},
		"an old size too small":         {Request{Old: 2, Proof: l.proof(t, 2, 9), Checkpoint: l.checkpoint(t, 9)}, http.StatusConflict},
		"an old size too large":         {Request{Old: 4, Proof: l.proof(t, 4, 9), Checkpoint: l.checkpoint(t, 9)}, http.StatusConflict},
		"a log that begins again":       {Request{Checkpoint: l.checkpoint(t, 9)}, http.StatusConflict},
		"another root of the same size": {Request{Old: 3, Checkpoint: l.sign(t, 3, l.tree.HashAt(4))}, http.StatusConflict},
		"no proof":                      {Request{Old: 3, Checkpoint: l.checkpoint(t, 9)}, http.StatusUnprocessableEntity},
		"a proof of other sizes":        {Request{Old: 3, Proof: l.proof(t, 4, 9), Checkpoint: l.checkpoint(t, 9)}, http.StatusUnprocessableEntity},
		"a proof where none is needed":  {Request{Old: 3, Proof: l.proof(t, 4, 9), Checkpoint: l.checkpoint(t, 3)}, http.StatusUnprocessableEntity},
		"a tree that does not continue": {Request{Old: 3, Proof: l.proof(t, 3, 9), Checkpoint: l.sign(t, 9, fork.tree.HashAt(8))}, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t, "w.example/1", 2)
			cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 3)})
			before := stateOf(t, w)
			status, _, answer := post(t, w, body(t, &tt.request))
			if status != tt.status || strings.Contains(answer, "\u2014") {
				t.Errorf("status %d, want %d: %s", status, tt.status, answer)
			}
			if !bytes.Equal(stateOf(t, w), before) {
				t.Error("the state has changed")
			}
			cosigned(t, w, &Request{Old: 3, Proof: l.proof(t, 3, 9), Checkpoint: l.checkpoint(t, 9)})
		})
	}
	t.Run("hashes with the first checkpoint", func(t *testing.T) {
		w := newWitness(t, "w.example/1", 2)
		r := &Request{Proof: l.proof(t, 3, 9), Checkpoint: l.checkpoint(t, 9)}
		if status, _, _ := post(t, w, body(t, r)); status != http.StatusUnprocessableEntity {
			t.Errorf("status %d", status)
		}
	})
}

func stateOf(t *testing.T, w *Witness) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.cfg.Dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The two checkpoints of a fork are evidence against the log.
func TestMisbehavior(t *testing.T) {
	var told []*translog.RejectedError
	w := newWitness(t, "w.example/1", 2, func(c *Config) { c.OnMisbehavior = func(e *translog.RejectedError) { told = append(told, e) } })
	l := newLog(t, 9)
	one, other := l.checkpoint(t, 9), l.sign(t, 9, l.tree.HashAt(8))
	cosigned(t, w, &Request{Checkpoint: one})
	post(t, w, body(t, &Request{Old: 9, Checkpoint: other}))
	if len(told) != 1 || !bytes.Equal(told[0].Older, one) || !bytes.Equal(told[0].Checkpoint, other) || told[0].Code != translog.CodeForked {
		t.Fatalf("told %v", told)
	}
}

// Of many requests that begin with one size, those for one tree win.
func TestWitnessIsAtomic(t *testing.T) {
	l := newLog(t, 3)
	w := newWitness(t, "w.example/1", 2)
	cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 3)})
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		fork := newLog(t, 3)
		fork.grow(i, 5)
		b := body(t, &Request{Old: 3, Proof: fork.proof(t, 3, 8), Checkpoint: fork.checkpoint(t, 8)})
		wg.Add(1)
		go func() {
			defer wg.Done()
			if status, _, _ := post(t, w, b); status == http.StatusOK {
				won.Add(1)
			}
		}()
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d forks are cosigned", won.Load())
	}
}

func TestWitnessState(t *testing.T) {
	l := newLog(t, 9)
	for name, tt := range map[string]struct {
		change func(t *testing.T, cfg *Config)
		want   string
	}{
		"lost":                {func(t *testing.T, cfg *Config) { remove(t, cfg) }, "no such file"},
		"cut short":           {func(t *testing.T, cfg *Config) { rewrite(t, cfg, func(s string) string { return s[:len(s)/2] }) }, "the state"},
		"of another version":  {func(t *testing.T, cfg *Config) { rewrite(t, cfg, replace(`"version":1`, `"version":2`)) }, "of version 2"},
		"with another member": {func(t *testing.T, cfg *Config) { rewrite(t, cfg, replace(`"version":1`, `"version":1,"x":1`)) }, "x"},
		"changed":             {func(t *testing.T, cfg *Config) { rewrite(t, cfg, replace(`\n9\n`, `\n8\n`)) }, string(translog.CodeCheckpointSignatureInvalid)},
		"of another witness":  {func(t *testing.T, cfg *Config) { cfg.Key = newKey(t, "w.example/2", 2) }, "of the witness"},
		"of a log with a new key": {func(t *testing.T, cfg *Config) {
			cfg.Logs = policyOf(t, "log "+signer(t, origin, 8).VerifierKey()+"\nquorum none\n")
		}, "was its key replaced?"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t, "w.example/1", 2)
			cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 9)})
			w.Close()
			tt.change(t, &w.cfg)
			if w, err := Open(&w.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				if err == nil {
					w.Close()
				}
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("begun again", func(t *testing.T) {
		w := newWitness(t, "w.example/1", 2)
		w.Close()
		if err := Create(w.cfg.Dir, w.cfg.Key); err == nil {
			t.Error("a witness forgot")
		}
	})
	t.Run("of a log that is not witnessed any more", func(t *testing.T) {
		w := newWitness(t, "w.example/1", 2)
		cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 9)})
		w.Close()
		logs := w.cfg.Logs
		w.cfg.Logs = policyOf(t, "log "+signer(t, "log.example/other", 8).VerifierKey()+"\nquorum none\n")
		again := open(t, &w.cfg)
		if status, _, answer := post(t, again, body(t, otherRequest(t))); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		again.Close()
		w.cfg.Logs = logs
		if _, _, answer := post(t, open(t, &w.cfg), body(t, &Request{Checkpoint: l.checkpoint(t, 9)})); answer != "9\n" {
			t.Errorf("it has forgotten: %q", answer)
		}
	})
	t.Run("that cannot be written", func(t *testing.T) {
		w := newWitness(t, "w.example/1", 2)
		cosigned(t, w, &Request{Checkpoint: l.checkpoint(t, 3)})
		if err := os.RemoveAll(w.cfg.Dir); err != nil {
			t.Fatal(err)
		}
		for range 2 { // once broken, always broken
			status, _, answer := post(t, w, body(t, &Request{Old: 3, Proof: l.proof(t, 3, 9), Checkpoint: l.checkpoint(t, 9)}))
			if status != http.StatusInternalServerError || strings.Contains(answer, w.cfg.Dir) {
				t.Errorf("status %d: %s", status, answer)
			}
		}
	})
}

// otherRequest is of the other log, which has the entries of newLog.
func otherRequest(t *testing.T) *Request {
	t.Helper()
	other := &testLog{signer(t, "log.example/other", 8), newLog(t, 2).tree}
	return &Request{Checkpoint: other.checkpoint(t, 2)}
}

func remove(t *testing.T, cfg *Config) {
	t.Helper()
	if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil {
		t.Fatal(err)
	}
}

func replace(from, to string) func(string) string {
	return func(s string) string { return strings.Replace(s, from, to, 1) }
}

func rewrite(t *testing.T, cfg *Config, change func(string) string) {
	t.Helper()
	name := filepath.Join(cfg.Dir, stateName)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(change(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHandler(t *testing.T) {
	w := newWitness(t, "w.example/1", 2)
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/add-checkpoint", "", http.StatusMethodNotAllowed},
		{"POST", "/", "", http.StatusNotFound},
		{"POST", "/add-checkpoint/", "", http.StatusNotFound},
		{"POST", "/add-checkpoint", "old 1", http.StatusBadRequest},
		{"POST", "/add-checkpoint", strings.Repeat("x", MaxRequestBytes+1), http.StatusRequestEntityTooLarge},
	} {
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
		if rec.Code != tt.status {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, rec.Code, tt.status)
		}
	}
	for range maxInFlight {
		w.inFlight <- struct{}{}
	}
	if status, _, _ := post(t, w, nil); status != http.StatusServiceUnavailable {
		t.Errorf("status %d of a busy witness", status)
	}
}
