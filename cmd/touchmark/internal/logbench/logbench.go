// Package logbench measures a guard, its evidence and its log together, as the log grows. [Run] is all of it; a [Report]
// prints itself as a table and draws itself as a plot.
package logbench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/translog"
)

// Bounds of a [Config].
const (
	MinRecords = 100
	MaxRecords = 100_000_000
	MaxWriters = 4096
	MaxAhead   = 50_000 // half of what a ledger lets its log be behind

	closeTime = time.Minute
)

// ErrNotEmpty says that a log has entries already.
var ErrNotEmpty = errors.New("a log is measured from its beginning, without entries")

// A Config says what is measured. All of it is needed but Promise, Stage and Notice.
type Config struct {
	Place   *logs.Place      // of a log without entries
	Signer  *translog.Signer // of its checkpoints
	Journal string           // the directory for the journal

	Records int  // that the log has in the end, about
	Writers int  // callers, each with a key and a badge, that make one call after the other
	Ahead   int  // records that callers may be ahead of the last checkpoint
	Promise bool // promises are signed, as a gateway does

	Stage  func(*Stage) // is told of each as it ends
	Notice func(error)  // hears of what the log tries again
}

// Check refuses a configuration that would measure nothing, or only how a ledger refuses.
func (c *Config) Check() error {
	for _, bound := range []struct {
		name             string
		value, from, end int
	}{{"records", c.Records, MinRecords, MaxRecords}, {"writers", c.Writers, 1, MaxWriters}, {"ahead", c.Ahead, 2 * c.Writers, MaxAhead}} {
		if bound.value < bound.from || bound.value > bound.end {
			return fmt.Errorf("%d %s: want %d to %d", bound.value, bound.name, bound.from, bound.end)
		}
	}
	return nil
}

// A Report is what was measured, and under which conditions. Times are in nanoseconds in JSON.
type Report struct {
	Engine  string  `json:"engine"` // "embedded" or "trillian"
	Writers int     `json:"writers"`
	Ahead   int     `json:"ahead"`
	Promise bool    `json:"promise"`
	CPUs    int     `json:"cpus"`
	System  string  `json:"system"`
	Stages  []Stage `json:"stages"`
}

// A Stage is what was measured from the end of the one before it until the log had so many records. Bytes and
// memory are those at its end.
type Stage struct {
	Records      uint64  `json:"records"`
	Acknowledged float64 `json:"acknowledged_per_second"` // records, until the last was acknowledged
	Provable     float64 `json:"provable_per_second"`     // records, until the last was in a published checkpoint

	Acknowledge Quantiles `json:"acknowledge"` // from the guard's asking until its decision is signed and durable
	Inclusion   Quantiles `json:"inclusion"`   // from there until it is in a published checkpoint

	JournalBytes  float64 `json:"journal_bytes_per_record"`
	LogBytes      float64 `json:"log_bytes_per_record"`                // of the tiles
	DatabaseBytes float64 `json:"database_bytes_per_record,omitempty"` // 0: there is none, or it cannot be asked
	Memory        uint64  `json:"peak_memory_bytes"`                   // of this process, in all

	Proof        Quantiles `json:"proof"`        // of a random entry, read and proven from the tiles
	Verification Quantiles `json:"verification"` // of such a proof, offline
}

// Quantiles are two times of a distribution.
type Quantiles struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
}

// Run measures. It leaves the log and the journal behind, closed.
func Run(ctx context.Context, cfg *Config) (_ *Report, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	log, err := cfg.Place.Open(ctx, cfg.Signer, &logs.Options{Notice: cfg.Notice})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closed(ctx, log.Close)) }()
	switch size, err := log.Size(ctx); {
	case err != nil:
		return nil, err
	case size > 0:
		return nil, fmt.Errorf("%w: %s has %d", ErrNotEmpty, cfg.Place.Dir, size)
	}
	w, err := newWorld(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closed(ctx, w.close)) }()
	r := &Report{
		Engine: "embedded", Writers: cfg.Writers, Ahead: cfg.Ahead, Promise: cfg.Promise,
		CPUs: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if cfg.Place.Trillian != nil {
		r.Engine = "trillian"
	}
	for _, size := range stages(cfg.Records) {
		s, err := w.stage(ctx, size)
		if err != nil {
			return nil, err
		}
		r.Stages = append(r.Stages, *s)
		if cfg.Stage != nil {
			cfg.Stage(s)
		}
	}
	return r, nil
}

// closed gives what has to be closed its time, whatever became of ctx.
func closed(ctx context.Context, closing func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return closing(ctx)
}

// stages returns the powers of ten from 1,000 on below n, and n.
func stages(n int) []uint64 {
	var out []uint64
	for size := 1000; size < n; size *= 10 {
		out = append(out, uint64(size))
	}
	return append(out, uint64(n)) //nolint:gosec // positive
}

// stage lets the log grow to a size, and measures.
func (w *world) stage(ctx context.Context, size uint64) (*Stage, error) {
	before, began := w.records, time.Now()
	w.meter.reset()
	if err := w.load(ctx, size); err != nil {
		return nil, err
	}
	acknowledged := time.Since(began)
	if err := w.meter.await(ctx, w.records); err != nil {
		return nil, err
	}
	grown := float64(w.records - before)
	s := &Stage{
		Records: w.records, Acknowledged: grown / acknowledged.Seconds(), Provable: grown / time.Since(began).Seconds(),
		Acknowledge: w.meter.acknowledge.quantiles(), Inclusion: w.meter.inclusion.quantiles(),
	}
	return s, errors.Join(w.weigh(ctx, s), w.prove(ctx, s))
}

// weigh finds out how much was written.
func (w *world) weigh(ctx context.Context, s *Stage) error {
	journal, err := written(w.cfg.Journal)
	if err != nil {
		return err
	}
	tiles, err := written(w.cfg.Place.Dir)
	if err != nil {
		return err
	}
	n := float64(s.Records)
	s.JournalBytes, s.LogBytes, s.Memory = float64(journal)/n, float64(tiles)/n, peakMemory()
	if t := w.cfg.Place.Trillian; t != nil && t.Analyze != "" {
		database, err := t.DatabaseBytes(ctx)
		if err != nil {
			return fmt.Errorf("size of the database: %w", err)
		}
		s.DatabaseBytes = float64(database) / n
	}
	return nil
}
