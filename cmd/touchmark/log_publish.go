package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

func logPublishCommand() *cli.Command {
	return &cli.Command{
		Name: "publish", Usage: "sign for a log that several append to", ArgsUsage: "DIR",
		Description: "DIR was made by log init --shared, or has DIR.trillian, DIR.key and DIR.policy of such a log beside it. Tiles and\n" +
			"checkpoints appear in DIR; serve it with log serve, on each machine that publishes. Of several publishers one\n" +
			"signs, and the others follow it, and take its place when it has not been heard of for --lease. Without --state\n" +
			"when the log was made, they share the file DIR.state, on one machine.\n" +
			"It ends with exit code 1 when the database or the state has lost or changed what was signed, and so do the other\n" +
			"publishers of the log then, until somebody has looked: see log resume.\n\nEXAMPLE\n" +
			"  touchmark log publish log",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Usage: "time between two checkpoints", Value: trillianlog.DefaultInterval},
			&cli.DurationFlag{Name: "lease", Usage: "how long a publisher that is not heard of stays the one who signs", Value: trillianlog.DefaultLease},
			&cli.StringFlag{Name: "metrics", Usage: "serve metrics at http://`ADDR`/metrics, in the text format of Prometheus"},
		},
		Action: logPublish,
	}
}

func logPublish(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	if ctx.Duration("lease") < time.Second {
		return usagef("--lease %v is less than a second", ctx.Duration("lease"))
	}
	con := consoleOf(ctx)
	place, signer, err := logPlace(ctx.Args().First())
	if err != nil {
		return err
	}
	p, err := place.OpenPublisher(ctx.Context, signer, &logs.Options{
		CheckpointInterval: ctx.Duration("interval"), Lease: ctx.Duration("lease"), Notice: func(err error) { con.note("%v", err) },
	})
	if err != nil {
		return resumeHint(logError(err), ctx.Args().First())
	}
	running, cancel := context.WithCancel(ctx.Context)
	defer cancel()
	if err := servePublisher(ctx, p); err != nil {
		cancel() // Run lets go of what is open
		_ = p.Run(running)
		return err
	}
	con.note("publishing %s in %s", signer.Name(), place.Dir)
	return resumeHint(p.Run(running), ctx.Args().First())
}

// resumeHint says what is to be done where all publishers have ended.
func resumeHint(err error, where string) error {
	switch translog.CodeOf(err) {
	case trillianlog.CodeHalted, translog.CodeRolledBack, translog.CodeForked, translog.CodeConsistencyInvalid:
		return hint(err, "somebody has to look: touchmark log resume %s", where)
	}
	return err
}

// servePublisher serves the metrics where --metrics says.
func servePublisher(ctx *cli.Context, p *trillianlog.Publisher) error {
	addr := ctx.String("metrics")
	if addr == "" {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	consoleOf(ctx).note("metrics at http://%s%s", ln.Addr(), metricsPath)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = p.WriteMetrics(w) // the reader may be gone
	})
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: maxHeaderBytes, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	context.AfterFunc(ctx.Context, func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }() // ends with the command
	return nil
}
