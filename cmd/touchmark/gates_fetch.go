package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

const (
	metricsPath    = "/metrics"
	metricsTimeout = 10 * time.Second
)

// metricsReader returns what reads metrics from a URL, a file or standard input.
func metricsReader(ctx *cli.Context, target string) (func() (*gates.Scrape, error), error) {
	if !isMetricsURL(target) {
		return func() (*gates.Scrape, error) {
			text, err := consoleOf(ctx).readInput(target)
			if err != nil {
				return nil, err
			}
			return parseMetrics(target, text)
		}, nil
	}
	var roots *x509.CertPool
	if name := ctx.String("ca-file"); name != "" {
		text, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return nil, usagef("--ca-file %s has no certificate in PEM", name)
		}
	}
	client, address, err := metricsClient(target, roots)
	if err != nil {
		return nil, err
	}
	return func() (*gates.Scrape, error) {
		text, err := fetchMetrics(ctx.Context, client, address)
		if err != nil {
			return nil, undeterminedf("%s: %v", target, err)
		}
		return parseMetrics(target, text)
	}, nil
}

// metricsClient returns a client for a URL and the URL that it is to ask. https goes by the rules of
// spec/did.md section 5, but for the port and for loopback addresses, which somebody has written out here; plain http
// goes to loopback addresses alone, whatever a name resolves to.
func metricsClient(target string, roots *x509.CertPool) (*http.Client, string, error) {
	if rest, ok := strings.CutPrefix(target, unixPrefix); ok {
		socket, path, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(socket, "/") || path != "" && !strings.HasPrefix(path, "/") {
			return nil, "", usagef("%q is no socket: want unix:/absolute/path, or unix:/absolute/path:/metrics", target)
		}
		if path == "" {
			path = metricsPath
		}
		return plainClientTo(func(ctx context.Context, d *net.Dialer) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) }), "http://localhost" + path, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, "", usagef("%q is no URL of metrics: no user and no fragment belongs into it", target)
	}
	if u.Path == "" {
		u.Path = metricsPath
	}
	host := u.Hostname()
	addr, _ := netip.ParseAddr(host)
	loopback := host == "localhost" || addr.IsLoopback()
	if u.Scheme == "http" {
		if !loopback {
			return nil, "", hint(usagef("%q is plain http to another machine", target), "use https, or run the check where the guard runs")
		}
		port := u.Port()
		if port == "" {
			port = "80"
		}
		at := net.JoinHostPort(host, port)
		return plainClientTo(func(ctx context.Context, d *net.Dialer) (net.Conn, error) {
			d.Control = onlyLoopback
			return d.DialContext(ctx, "tcp", at)
		}), u.String(), nil
	}
	policy := safehttp.Policy{UnsafeAllowLoopback: loopback}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, "", usagef("%q: %v", target, err)
		}
		policy.AllowPorts = []uint16{uint16(port)}
	}
	return safehttp.NewClient(&safehttp.Config{Policy: policy, RootCAs: roots, Timeout: metricsTimeout}), u.String(), nil
}

func onlyLoopback(_, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s is not on this machine", address)
	}
	return nil
}

// plainClientTo returns a client that can reach one place, and follows no redirect.
func plainClientTo(dial func(context.Context, *net.Dialer) (net.Conn, error)) *http.Client {
	return &http.Client{
		Timeout: metricsTimeout,
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, &net.Dialer{}) },
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func fetchMetrics(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with status %d", resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return nil, fmt.Errorf("answered with %q, which is not the text format of metrics", resp.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, gates.MaxBytes+1))
	if err == nil && len(text) > gates.MaxBytes {
		err = errors.New("answered with too many metrics")
	}
	return text, err
}
