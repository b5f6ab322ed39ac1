package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/telemetry"
	serverlist "github.com/touchmark-dev/touchmark/serververify/registry"
)

func metricsFlag() cli.Flag {
	return &cli.StringFlag{Name: "metrics", Usage: "serve the counters of --registry at http://`ADDR`/metrics, or on the socket unix:/path, in the text format of Prometheus"}
}

// startMetrics serves what is counted where --metrics says, until the command
// ends: by the guard that tel observes, and by a registry, of which one may be nil, and by more, with the guard.
func startMetrics(ctx *cli.Context, tel *telemetry.Telemetry, r *serverlist.Registry, more ...func(io.Writer) error) error {
	addr := ctx.String("metrics")
	if addr == "" {
		return nil
	}
	if tel == nil && r == nil {
		return usagef("--metrics counts what --registry refuses, and there is no --registry")
	}
	ln, err := listenForMetrics(addr)
	if err != nil {
		return err
	}
	if strings.HasPrefix(addr, unixPrefix) {
		consoleOf(ctx).note("metrics at %s", addr)
	} else {
		consoleOf(ctx).note("metrics at http://%s%s", ln.Addr(), metricsPath)
	}
	server := &http.Server{
		Handler: metricsHandler(tel, r, more...), MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	context.AfterFunc(ctx.Context, func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }() // ends with the command; a call does not wait for who counts calls
	return nil
}

func listenForMetrics(addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", addr)
}

func metricsHandler(tel *telemetry.Telemetry, r *serverlist.Registry, more ...func(io.Writer) error) http.Handler {
	mux := http.NewServeMux()
	switch {
	case tel == nil:
		mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_ = r.WriteMetrics(w) // the reader may be gone
		})
	case r == nil:
		mux.Handle("GET "+metricsPath, tel.Handler(more...))
	default:
		mux.Handle("GET "+metricsPath, tel.Handler(append(more, r.WriteMetrics)...))
	}
	return mux
}
