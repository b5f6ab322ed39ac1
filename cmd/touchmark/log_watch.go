package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	watchInterval     = 10 * time.Second
	minStepTime       = 5 * time.Minute // of a step of a look
	minOnceStepTime   = time.Hour       // with --once, which may have all of a log to read
	maxPromiseFile    = 64 << 20
	dirFaultsOfState  = "faults"
	flagServerKeyFile = "did-document"
)

func logWatchCommand() *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "follow a log of records, and tell every fault in it",
		Description: "Each look verifies the checkpoint, hashes what is new, and checks signature and chain of every record. A fault is\n" +
			"told as one line, once, and its proof is kept below the state: see log fault. It ends with exit code 1 if\n" +
			"any was found, or is still there, with --once after one look. What cannot be read is\n" +
			"told, and tried again at the next look; --once ends with exit code 3 then.\n\nEXAMPLES\n" +
			"  touchmark log watch --log https://log.example.com --policy log.policy --did-document server.did.json --state monitor\n" +
			"  touchmark log watch --log log --policy log.policy --did-document server.did.json --state monitor \\\n" +
			"      --evidence journal --view mirror=https://mirror.example.com/log --once --json\n" +
			"  touchmark log watch --log https://log.example.com --policy log.policy --did-document server.did.json --state monitor \\\n" +
			"      --records journal",
		Flags: logFlags(
			&cli.StringSliceFlag{Name: flagServerKeyFile, Usage: "the DID document of a server whose records are in the log, from `FILE`"},
			&cli.PathFlag{Name: "state", Usage: "keep what is known, and the proofs of faults, in `DIR`"},
			&cli.StringSliceFlag{Name: "view", Usage: "compare with the checkpoints at another place, `NAME=DIR|URL`"},
			&cli.PathFlag{Name: "evidence", Usage: "compare with the journal in `DIR`"},
			&cli.StringFlag{Name: "form", Usage: "what the leaves of the log are: `FORM` record or digest; what DIR.form says by default, and digest with --records"},
			&cli.StringSliceFlag{Name: "records", Usage: "the records of a log of digests: journals, or files with an entry a line, `DIR|FILE`"},
			&cli.DurationFlag{Name: "record-delay", Usage: "how long a record may be missing there, for copies that lag behind"},
			&cli.PathFlag{Name: "promises", Usage: "check that the promises in `FILE`, one a line, are kept"},
			&cli.DurationFlag{Name: "merge-delay", Usage: "how old a record of the journal may be that is not in the log", Value: monitor.DefaultMergeDelay},
			&cli.DurationFlag{Name: "withheld-delay", Usage: "how long the log may serve checkpoints and not what is in their trees", Value: monitor.DefaultWithheldDelay},
			&cli.Uint64Flag{Name: "reread", Usage: "read `N` earlier entries again at each look", Value: monitor.DefaultReread},
			&cli.BoolFlag{Name: "once", Usage: "look once and end"},
			&cli.DurationFlag{Name: "interval", Usage: "time between two looks; each step of one may take ten times as long, and 5m at least (1h with --once)", Value: watchInterval},
			&cli.StringFlag{Name: "metrics", Usage: "serve metrics at http://`ADDR`/metrics, in the text format of Prometheus"},
		),
		Action: logWatch,
	}
}

func logFaultCommand() *cli.Command {
	return &cli.Command{
		Name: "fault", Usage: "check the proof of a fault, with the keys alone", ArgsUsage: "DIR",
		Description: "DIR is below the state of log watch, in faults, or a copy of it.\n\nEXAMPLE\n" +
			"  touchmark log fault --policy log.policy --did-document server.did.json monitor/faults/LOG_FORKED-5b1d0a3c9e7f2846",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "whom to trust: the policy `FILE` with the key of the log"},
			&cli.StringSliceFlag{Name: flagServerKeyFile, Usage: "the server's DID document, from `FILE`"},
		},
		Action: logFault,
	}
}

// A watch is a monitor, and what was found since it began.
type watch struct {
	ctx    *cli.Context
	con    *console
	state  string
	faults int
	known  int // that the last look found again
	first  *monitor.Fault

	unprinted error // a fault that could not be told

	m *monitor.Monitor

	mu      sync.Mutex // of metrics
	metrics string     // as of the last look, and the last fault
}

func logWatch(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	w := &watch{ctx: ctx, con: consoleOf(ctx), state: ctx.Path("state")}
	if err := w.open(); err != nil {
		return err
	}
	defer func() {
		if closed := w.m.Close(); err == nil {
			err = closed
		}
	}()
	w.measure()
	if err := w.serveMetrics(); err != nil {
		return err
	}
	for {
		err := w.look()
		if w.unprinted != nil {
			return w.unprinted
		}
		found := w.verdict()
		if ctx.Bool("once") && found == nil {
			return err
		}
		if err != nil { // what cannot be looked at neither ends a watch nor hides what was found
			w.con.note("%v", err)
		}
		if ctx.Bool("once") {
			return found
		}
		select {
		case <-ctx.Done():
			return w.verdict()
		case <-time.After(ctx.Duration("interval")):
		}
	}
}

func (w *watch) open() error {
	ctx := w.ctx
	if err := required(ctx, "state", flagServerKeyFile); err != nil {
		return err
	}
	if ctx.Duration("interval") < 100*time.Millisecond {
		return usagef("--interval %v is less than 100ms", ctx.Duration("interval"))
	}
	if ctx.Duration("merge-delay") < time.Second {
		return usagef("--merge-delay %v is less than a second", ctx.Duration("merge-delay"))
	}
	if ctx.Duration("withheld-delay") < time.Second {
		return usagef("--withheld-delay %v is less than a second", ctx.Duration("withheld-delay"))
	}
	_, policy, err := openLogClient(ctx)
	if err != nil {
		return err
	}
	keys, err := evidenceKeys(ctx)
	if err != nil {
		return err
	}
	cfg := &monitor.Config{
		Policy: policy, Keys: keys, Dir: w.state, Journal: ctx.Path("evidence"),
		MergeDelay: ctx.Duration("merge-delay"), WithheldDelay: ctx.Duration("withheld-delay"), Reread: ctx.Uint64("reread"), OnFault: w.found,
	}
	cfg.Timeout = stepTime(ctx.Bool("once"), ctx.Duration("interval"))
	if cfg.Log, err = sourceAt(ctx.String("log")); err != nil {
		return err
	}
	if cfg.LogForm, err = watchedForm(ctx); err != nil {
		return err
	}
	cfg.RecordDelay = ctx.Duration("record-delay")
	if cfg.Records, err = recordSources(ctx.StringSlice("records")); err != nil {
		return err
	}
	for _, text := range ctx.StringSlice("view") {
		name, where, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usagef("--view %q: want NAME=DIR or NAME=URL", text)
		}
		source, err := sourceAt(where)
		if err != nil {
			return err
		}
		cfg.Views = append(cfg.Views, monitor.View{Name: name, Source: source})
	}
	if w.m, err = monitor.Open(cfg); err != nil {
		switch {
		case errors.Is(err, durable.ErrLocked):
			return undeterminedf("%w: another monitor has it open", err)
		case codeOf(err) == exitInternal:
			return malformed(err)
		}
		return err
	}
	if err := w.addPromises(); err != nil {
		_ = w.m.Close() // the error is why
		return err
	}
	return nil
}

// stepTime is what each step of a look may take: a log that does not answer must not keep the state locked for good.
func stepTime(once bool, interval time.Duration) time.Duration {
	if once {
		return max(minOnceStepTime, 10*interval)
	}
	return max(minStepTime, 10*interval)
}

// watchedForm is the form of the log that --log names.
func watchedForm(ctx *cli.Context) (evidence.LogForm, error) {
	if text := ctx.String("form"); text != "" {
		form, err := evidence.ParseLogForm(text)
		if err != nil {
			return form, usagef("--form: %w", err)
		}
		return form, nil
	}
	if len(ctx.StringSlice("records")) > 0 {
		return evidence.FormDigest, nil
	}
	dir, err := logs.Dir(ctx.String("log"))
	if err != nil || strings.Contains(dir, "://") {
		return evidence.FormRecord, nil // served: it does not say
	}
	form, err := logs.Form(dir)
	return form, malformed(err)
}

// recordSources are the places of records that --records names.
func recordSources(names []string) ([]monitor.RecordSource, error) {
	sources := make([]monitor.RecordSource, 0, len(names))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			sources = append(sources, monitor.JournalRecords(name))
		} else {
			sources = append(sources, monitor.FileRecords(name))
		}
	}
	return sources, nil
}

// sourceAt reads the log at DIR, at a URL that it is served at, or at a trillian:// URL: the tiles are in its directory.
func sourceAt(where string) (tlogclient.Source, error) {
	if logs.IsTrillian(where) {
		dir, err := logs.Dir(where)
		return tlogclient.Dir(dir), malformed(err)
	}
	if !strings.Contains(where, "://") {
		return tlogclient.Dir(where), nil
	}
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: where})
	return source, malformed(err)
}

func (w *watch) addPromises() error {
	name := w.ctx.Path("promises")
	if name == "" {
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() > maxPromiseFile {
		return usagef("%q has %d bytes, the limit is %d", name, info.Size(), maxPromiseFile)
	}
	text, err := os.ReadFile(name) //nolint:gosec // named on the command line
	if err != nil {
		return err
	}
	for i, token := range strings.Fields(string(text)) {
		if err := w.m.AddPromise(token); err != nil {
			return fmt.Errorf("%q, promise %d: %w", name, i+1, err)
		}
	}
	return nil
}

func (w *watch) look() error {
	report, err := w.m.Look(w.ctx.Context)
	w.measure()
	w.known = report.Known
	if err == nil {
		w.con.note("%d entries of %d streams, %d of them new; %d faults, %d told before",
			report.Size, report.Streams, report.Read, len(report.Faults), report.Known)
		w.tellOpen(report)
	}
	return err
}

// found tells a fault at once: the look that found it may take long.
func (w *watch) found(f *monitor.Fault) {
	w.faults++
	if w.first == nil {
		w.first = f
	}
	if w.unprinted == nil {
		w.unprinted = w.tell(f)
	}
	w.measure()
}

// measure takes the metrics, which are served while a look goes on.
func (w *watch) measure() {
	var text strings.Builder
	_ = w.m.WriteMetrics(&text) // a strings.Builder takes it
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics = text.String()
}

// tellOpen says what the records that were given leave open.
func (w *watch) tellOpen(report *monitor.Report) {
	if report.Late > 0 {
		w.con.note("%d entries wait: a record is not there yet", report.Late)
	}
	if len(report.NotChecked) > 0 {
		w.con.note("not checked, for want of records (--records): %s", strings.Join(report.NotChecked, "; "))
	}
}

// A faultLine is a fault in a list.
type faultLine struct {
	*monitor.Fault
	Proof string `json:"proof,omitempty"` // directory
}

func (w *watch) tell(f *monitor.Fault) error {
	l := &faultLine{Fault: f}
	if f.Dir != "" {
		l.Proof = filepath.Join(w.state, f.Dir)
	}
	return w.con.result(l, fmt.Sprintf("%s  %s  %s  %s", f.Found.Format(time.RFC3339), f.Code, f.Reason, l.Proof))
}

func (w *watch) verdict() error {
	if w.faults == 0 && w.known > 0 {
		return rejectedf("%d faults that were told before are still there", w.known)
	}
	if w.faults == 0 {
		return nil
	}
	err := rejectedf("%d faults found, the first is %s: %s", w.faults, w.first.Code, w.first.Reason)
	return hint(err, "each proof is in a directory of its own below %s: check it with touchmark log fault", filepath.Join(w.state, dirFaultsOfState))
}

// serveMetrics serves the metrics as of the last look where --metrics says.
func (w *watch) serveMetrics() error {
	addr := w.ctx.String("metrics")
	if addr == "" {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	w.con.note("metrics at http://%s/metrics", ln.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		text := w.metrics
		w.mu.Unlock()
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		rw.Header().Set("Cache-Control", "no-store")
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = rw.Write([]byte(text)) // the reader may be gone
	})
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: maxHeaderBytes, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	context.AfterFunc(w.ctx.Context, func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }() // ends with the command
	return nil
}

func logFault(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	if err := required(ctx, flagServerKeyFile); err != nil {
		return err
	}
	policy, err := readPolicy(ctx)
	if err != nil {
		return err
	}
	keys, err := evidenceKeys(ctx)
	if err != nil {
		return err
	}
	dir := ctx.Args().First()
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return usagef("%q is no directory", dir)
	}
	fault, err := monitor.Check(os.DirFS(dir), policy, keys)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %s", fault.Code, fault.Reason)
	if fault.Word != "" {
		text += "\nbeyond what the files show, the word of the monitor: " + fault.Word
	}
	return consoleOf(ctx).result(map[string]any{"verdict": "accepted", "fault": fault}, text)
}
