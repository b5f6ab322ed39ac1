package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// otlpVariable is the standard variable for --otlp, of every program that exports by OpenTelemetry.
const otlpVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"

// telemetryGrace is how long the end of a command waits for what is not exported yet.
const telemetryGrace = 5 * time.Second

// telemetryFlags are the flags of the commands that have a guard.
func telemetryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "metrics", Usage: "serve metrics at http://`ADDR`/metrics, or on the socket unix:/path, in the text format of Prometheus"},
		&cli.StringFlag{Name: "otlp", Usage: "export traces and logs to the collector at `URL`, by OTLP over HTTP (or " + otlpVariable + ")"},
		&cli.BoolFlag{Name: "continue-traces", Usage: "make spans part of the traces that callers name, which nobody has verified; else they are linked"},
		&cli.BoolFlag{Name: "log-allowed", Usage: "export a log of what was allowed, too"},
		&cli.StringSliceFlag{Name: "count-tool", Usage: "count the decisions about the tool `NAME` by its name"},
	}
}

// A watcher is the telemetry of a command.
type watcher struct {
	tel *telemetry.Telemetry // nil: nobody looks
	con *console

	more []func(io.Writer) error // metrics of what else the command runs
}

// startTelemetry starts what the flags ask for. Close it in the end.
func startTelemetry(ctx *cli.Context) (*watcher, error) {
	w := &watcher{con: consoleOf(ctx)}
	cfg := &telemetry.Config{
		OTLP: ctx.String("otlp"), ContinueTraces: ctx.Bool("continue-traces"), LogAllowed: ctx.Bool("log-allowed"),
		Tools: ctx.StringSlice("count-tool"), Logger: newLogger(w.con), Service: "touchmark-" + ctx.Command.Name,
	}
	if cfg.OTLP == "" {
		cfg.OTLP = os.Getenv(otlpVariable)
	}
	switch {
	case cfg.OTLP == "" && (cfg.ContinueTraces || cfg.LogAllowed):
		return nil, usagef("--continue-traces and --log-allowed say what is exported, and there is no --otlp")
	case ctx.String("metrics") == "" && len(cfg.Tools) > 0:
		return nil, usagef("--count-tool says what is counted, and there is no --metrics")
	case cfg.OTLP == "" && ctx.String("metrics") == "":
		return w, nil
	}
	var err error
	if w.tel, err = telemetry.New(ctx.Context, cfg); err != nil {
		return nil, malformed(err)
	}
	if cfg.OTLP != "" {
		w.con.note("exporting traces and logs to %s", cfg.OTLP)
	}
	return w, nil
}

// observer is for the guard, nil where nobody looks.
func (w *watcher) observer() guard.Observer {
	if w.tel == nil {
		return nil
	}
	return w.tel
}

// logger is the command's logger, which exports what it writes where --otlp says so.
func (w *watcher) logger() *slog.Logger {
	plain := newLogger(w.con)
	if w.tel == nil {
		return plain
	}
	return slog.New(w.tel.LogHandler(plain.Handler()))
}

// close exports what waits, for a while.
func (w *watcher) close(ctx context.Context) {
	if w.tel == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), telemetryGrace)
	defer cancel()
	if err := w.tel.Close(ctx); err != nil {
		w.con.note("not everything was exported: %v", telemetry.Redact(err.Error()))
	}
}
