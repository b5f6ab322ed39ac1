package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/readers"
)

// Bounds of the server of tiles, which anybody may reach.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = time.Minute
	idleTimeout       = 30 * time.Second
	maxHeaderBytes    = 16 << 10
	maxStreams        = 16 // requests under way on a connection of HTTP/2
	shutdownTimeout   = 5 * time.Second
)

func logServeCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve a log's tiles to readers", ArgsUsage: "DIR",
		Description: "Only what readers of a log need is served: checkpoints, tiles and bundles, and the page that verifies a record\n" +
			"in a browser at " + verifyPath + ". Answers say how long they may be kept, so that a cache or a CDN can stand in front,\n" +
			"and the directory can be copied to any server of files (spec/serving.md). With --cosign, the witnesses of that\n" +
			"policy are asked to cosign the log's checkpoints; what a quorum has cosigned is served beside the log's own.\n\n" +
			"EXAMPLE\n  touchmark log serve --listen 0.0.0.0:8480 --trusted-proxy 10.0.0.0/8 --metrics 127.0.0.1:9480 log",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "the `ADDR` to listen at", Value: "127.0.0.1:8480"},
			&cli.StringFlag{Name: "metrics", Usage: "serve metrics at http://`ADDR`/metrics, or on the socket unix:/path, in the text format of Prometheus"},
		}, readerFlags(readers.DefaultPerAddress), cosignFlags()),
		Action: logServe,
	}
}

// readerFlags say what one reader of a log may take; perAddress is a default.
func readerFlags(perAddress int) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "rate", Usage: "answer `N` requests a second of one address, of a network of 64 bits in IPv6; the others get 429. Networks may have some times as much (spec/serving.md)", Value: readers.DefaultRate},
		&cli.IntFlag{Name: "burst", Usage: "and `N` of them at once", Value: readers.DefaultBurst},
		&cli.IntFlag{Name: "max-connections", Usage: "have `N` connections at a time; for others, idle ones are closed, and those of who has most", Value: readers.DefaultConnections},
		&cli.IntFlag{Name: "max-connections-per-address", Usage: "and `N` of one address, or for one address behind a trusted proxy", Value: perAddress},
		&cli.StringSliceFlag{Name: "trusted-proxy", Usage: "believe proxies in the network `CIDR` about the addresses of readers, by X-Forwarded-For; nobody by default"},
	}
}

func tileServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
}

func logServe(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	con, dir := consoleOf(ctx), ctx.Args().First()
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err != nil {
		return hint(fmt.Errorf("%s holds no log: %w", dir, err), "make one with: touchmark log init --origin NAME %s", dir)
	}
	limits, err := readLimits(ctx)
	if err != nil {
		return err
	}
	c, err := readCosigning(ctx, dir)
	if err != nil {
		return err
	}
	stop, err := c.start(ctx.Context, con)
	if err != nil {
		return err
	}
	defer stop()
	if err := serveMetrics(ctx, limits.WriteMetrics); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", ctx.String("listen"))
	if err != nil {
		return err
	}
	if con.json {
		if err := con.line(map[string]string{"url": "http://" + ln.Addr().String()}); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	con.note("serving %s at http://%s", dir, ln.Addr())
	server := tileServer(readerHandler(dir))
	limits.Protect(server)
	return serveUntilDone(ctx.Context, limits.Listener(ln), server)
}

// readLimits reads what one reader may take.
func readLimits(ctx *cli.Context) (*readers.Limits, error) {
	cfg := &readers.Config{
		Rate: float64(ctx.Int("rate")), Burst: ctx.Int("burst"),
		Connections: ctx.Int("max-connections"), PerAddress: ctx.Int("max-connections-per-address"),
		BehindProxy: ctx.Bool("behind-proxy"), // which not every command has
	}
	for _, name := range []string{"rate", "burst", "max-connections", "max-connections-per-address"} {
		if n := ctx.Int(name); n < 1 || n > 1<<20 {
			return nil, usagef("--%s %d is not from 1 to %d", name, n, 1<<20)
		}
	}
	for _, text := range ctx.StringSlice("trusted-proxy") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usagef("--trusted-proxy %s is no network, such as 10.1.0.0/16", strconv.Quote(text))
		}
		cfg.Proxies = append(cfg.Proxies, network.Masked())
	}
	return readers.New(cfg)
}

// serveMetrics serves what write writes where --metrics says, until the command ends.
func serveMetrics(ctx *cli.Context, write func(io.Writer) error) error {
	addr := ctx.String("metrics")
	if addr == "" {
		return nil
	}
	ln, err := listenForMetrics(addr)
	if err != nil {
		return err
	}
	if ln.Addr().Network() == "unix" {
		consoleOf(ctx).note("metrics at %s", addr)
	} else {
		consoleOf(ctx).note("metrics at http://%s%s", ln.Addr(), metricsPath)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = write(w) // the reader may be gone
	})
	server := tileServer(mux)
	context.AfterFunc(ctx.Context, func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }() // ends with the command
	return nil
}
