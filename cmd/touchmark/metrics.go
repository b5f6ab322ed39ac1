package main

import (
	"context"
	"net"
	"net/http"

	"github.com/urfave/cli/v2"

	serverlist "github.com/touchmark-dev/touchmark/serververify/registry"
)

func metricsFlag() cli.Flag {
	return &cli.StringFlag{Name: "metrics", Usage: "serve the counters of --registry at http://`ADDR`/metrics, in the text format of Prometheus"}
}

// startMetrics serves what a registry counts where --metrics says, until the
// command ends.
func startMetrics(ctx *cli.Context, r *serverlist.Registry) error {
	addr := ctx.String("metrics")
	if addr == "" {
		return nil
	}
	if r == nil {
		return usagef("--metrics counts what --registry refuses, and there is no --registry")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	consoleOf(ctx).note("metrics at http://%s/metrics", ln.Addr())
	server := &http.Server{
		Handler: metricsHandler(r), MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	context.AfterFunc(ctx.Context, func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }() // ends with the command; a call does not wait for who counts calls
	return nil
}

func metricsHandler(r *serverlist.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = r.WriteMetrics(w) // the reader may be gone
	})
	return mux
}
