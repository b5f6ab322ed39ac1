package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/readers"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	servers "github.com/touchmark-dev/touchmark/serververify/registry"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	logPrefix      = "/log"
	maxShownPath   = 300
	maxShipsAtStop = 1000 // batches

	// authorityGrace is how long the requests under way may take when the authority is told to end, then shipping what they
	// leave, and then the log. A disk may be slow.
	authorityGrace = 30 * time.Second
)

func authorityServeCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve an authority, and its issuance log below /log/",
		Description: "It writes structured logs to standard error (JSON with --json), ends what is under way on SIGTERM, and\n" +
			"tells systemd when it is ready. Several nodes may share a PostgreSQL database: one of them ships to the\n" +
			"log, the others have --log-elsewhere. Connections are bounded, and what one address asks of the log, as by\n" +
			"log serve (spec/serving.md). Behind a proxy an address is the last one that the proxy names in X-Forwarded-For,\n" +
			"and the proxy is what bounds connections.\n\n" +
			"EXAMPLES\n" +
			"  touchmark authority serve --home registry --tls-cert cert.pem --tls-key key.pem\n" +
			"  touchmark authority serve --home registry --behind-proxy --listen 127.0.0.1:8080",
		Flags: append(authorityFlags(
			&cli.StringFlag{Name: "listen", Usage: "the `ADDR` to listen at", Value: "127.0.0.1:8443"},
			&cli.PathFlag{Name: "tls-cert", Usage: "the certificate chain, PEM in `FILE`; a newer one is taken up while it runs"},
			&cli.PathFlag{Name: "tls-key", Usage: "its key, PEM in `FILE`"},
			&cli.BoolFlag{Name: "behind-proxy", Usage: "serve plain HTTP, for a proxy that ends TLS and is the only one to reach ADDR"},
			&cli.BoolFlag{Name: "log-elsewhere", Usage: "another node ships the entries of this database to the log"},
			&cli.BoolFlag{Name: "hash-subjects", Usage: "have the issuance log name subjects by hashes"},
			&cli.BoolFlag{Name: "compat", Usage: "accept requests in the forms of published clients that depart from their documents"},
			&cli.PathFlag{Name: "server-list", Usage: "serve the list of approved servers in `FILE`, which \"registry sign\" made; a newer one is taken up while it runs"},
			&cli.BoolFlag{Name: "allow-anonymous-orders", Usage: "let domains be validated without an account"},
			&cli.StringFlag{Name: "ca-file", Usage: "verify servers of DID documents with the PEM certificates in `FILE` instead of the system's"},
			&cli.BoolFlag{Name: "insecure-loopback", Usage: "fetch DID documents from loopback addresses too, for development"},
		), readerFlags(readers.DefaultConnections)...), // a health check, or a balancer, may share its address with many
		Action: authorityServe,
	}
}

func authorityServe(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	h, err := readAuthority(ctx)
	if err != nil {
		return err
	}
	config, err := serverTLS(ctx)
	if err != nil {
		return err
	}
	limits, err := readLimits(ctx)
	if err != nil {
		return err
	}
	logger := consoleOf(ctx).logger()
	var engine logs.Log
	var shipped authority.Log
	if !ctx.Bool("log-elsewhere") {
		if engine, err = h.openLog(logger); err != nil {
			return err
		}
		shipped = engine
		defer func() { err = errors.Join(err, closeLog(engine)) }()
	}
	a, err := h.open(shipped, func(cfg *authority.Config) {
		cfg.Logger, cfg.HashSubjects, cfg.AllowCompat = logger, ctx.Bool("hash-subjects"), ctx.Bool("compat")
		cfg.AllowAnonymousOrders = ctx.Bool("allow-anonymous-orders")
		if name := ctx.Path("server-list"); name != "" {
			cfg.ServerList = func(context.Context) ([]byte, error) { return readServerList(name) }
		}
	})
	if err != nil {
		return err
	}
	n := &node{ctx: ctx, home: h, authority: a, logger: logger, limits: limits, ships: engine != nil}
	return errors.Join(n.serve(config), a.Close())
}

// logger is what a service tells of its work, on standard error.
func (con *console) logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case con.quiet:
		opts.Level = slog.LevelWarn
	case con.verbose:
		opts.Level = slog.LevelDebug
	}
	if con.json {
		return slog.New(slog.NewJSONHandler(con.err, opts))
	}
	return slog.New(slog.NewTextHandler(con.err, opts))
}

func (h *authorityHome) openLog(logger *slog.Logger) (logs.Log, error) {
	place, signer, err := logPlace(h.file(authorityLog))
	if err != nil {
		return nil, err
	}
	if place.Form != evidence.FormRecord {
		return nil, usagef("%s is of the form %q: what is issued stands in the log whole", place.Dir, place.Form)
	}
	return place.Open(h.ctx.Context, signer, &logs.Options{Notice: func(err error) { logger.Warn("log", "error", err) }})
}

func closeLog(l logs.Log) error {
	ctx, cancel := context.WithTimeout(context.Background(), authorityGrace)
	defer cancel()
	return l.Close(ctx)
}

// readServerList reads a list of servers to be served. Only its size is looked at: who uses it verifies it.
func readServerList(name string) ([]byte, error) {
	list, err := durable.ReadFile(durable.OS{}, name, servers.MaxBytes)
	return bytes.TrimSpace(list), err
}

// A node is an authority while it is served.
type node struct {
	ctx       *cli.Context
	home      *authorityHome
	authority *authority.Authority
	logger    *slog.Logger
	limits    *readers.Limits
	ships     bool
}

// serve serves until the command is ended, or until going on would fork the log.
func (n *node) serve(config *tls.Config) error {
	ln, err := net.Listen("tcp", n.ctx.String("listen"))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: n.handler(), TLSConfig: config, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	bounded := ln
	if config != nil { // a proxy's connections are nobody's: it bounds them itself
		n.limits.Watch(server)
		bounded = n.limits.Listener(ln)
	}
	con := consoleOf(n.ctx)
	if con.json {
		if err := con.line(map[string]string{"issuer": n.home.issuer, "addr": ln.Addr().String()}); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended, ran := make(chan error, 1), make(chan error, 1)
	go func() { ended <- serveOn(server, bounded) }()
	go func() { ran <- n.authority.Run(running) }()
	n.logger.Info("listening", "issuer", n.home.issuer, "tls", config != nil, "addr", ln.Addr().String())
	con.notify(notifyReady)
	over := false // Run is
	select {
	case err = <-ended:
	case err = <-ran:
		over = true
		if err != nil {
			err = hint(rejectedf("the issuance log and the database contradict each other: %w", err),
				"one of them is an older copy: restore the newer one, and never sign on")
		}
	case <-n.ctx.Done():
		n.logger.Info("stopping")
	}
	con.notify(notifyStopping)
	err = errors.Join(err, endServer(server, authorityGrace))
	cancel()
	if !over {
		err = errors.Join(err, <-ran, n.shipRest())
	}
	return err
}

func serveOn(server *http.Server, ln net.Listener) error {
	var err error
	if server.TLSConfig == nil {
		err = server.Serve(ln)
	} else {
		err = server.ServeTLS(ln, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shipRest ships what the last requests left. What it cannot, the next start
// does.
func (n *node) shipRest() error {
	if !n.ships {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), authorityGrace)
	defer cancel()
	for range maxShipsAtStop {
		count, err := n.authority.Ship(ctx)
		if err != nil || count == 0 {
			return err
		}
	}
	return nil
}

// handler serves the authority, and its log to readers.
func (n *node) handler() http.Handler {
	authority := n.limits.Lend(n.authority.Handler())
	tiles := http.Handler(http.NotFoundHandler())
	if n.ships {
		tiles = http.StripPrefix(logPrefix, n.limits.Handler(tlogclient.Handler(n.home.file(authorityLog))))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, told := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		if strings.HasPrefix(r.URL.Path, logPrefix+"/") {
			tiles.ServeHTTP(told, r)
		} else {
			authority.ServeHTTP(told, r)
		}
		// Neither headers, which have secrets, nor the query.
		n.logger.Info("request", "method", r.Method, "path", shorten(r.URL.Path), "status", told.status,
			"ms", time.Since(began).Milliseconds(), "from", r.RemoteAddr)
	})
}

func shorten(path string) string {
	if len(path) > maxShownPath {
		return path[:maxShownPath] + "..."
	}
	return path
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is behind.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serverTLS returns how to serve, nil for plain HTTP behind a proxy.
func serverTLS(ctx *cli.Context) (*tls.Config, error) {
	cert, key := ctx.Path("tls-cert"), ctx.Path("tls-key")
	switch proxy := ctx.Bool("behind-proxy"); {
	case proxy && (cert != "" || key != ""):
		return nil, usagef("--behind-proxy and --tls-cert exclude each other")
	case proxy:
		return nil, nil
	case cert == "" || key == "":
		return nil, hint(usagef("%s needs --tls-cert FILE and --tls-key FILE", commandName(ctx)),
			"or --behind-proxy, when a proxy ends TLS in front of it")
	}
	files := &certificate{cert: cert, key: key}
	if _, err := files.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: files.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, nil
}

// A certificate is read again when its file has changed.
type certificate struct {
	cert, key string

	mu      sync.Mutex // guards what follows
	loaded  *tls.Certificate
	changed time.Time // of the file that was loaded
}

// get implements tls.Config.GetCertificate. While a new certificate cannot be
// read, the old one serves.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.cert)
	if err != nil || c.loaded != nil && info.ModTime().Equal(c.changed) {
		return c.kept(err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		if !is[*os.PathError](err) {
			err = malformed(err)
		}
		return c.kept(err)
	}
	c.loaded, c.changed = &pair, info.ModTime()
	return c.loaded, nil
}

func (c *certificate) kept(err error) (*tls.Certificate, error) {
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}
