package authzen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

const (
	maxHeaderBytes = 16 << 10
	idleTimeout    = 30 * time.Second
)

// A dialer connects to the service alone: to its socket, to a loopback address if the endpoint names one, or to what
// its name leads to among public addresses and the networks that are allowed.
type dialer struct {
	socket   string
	host     string
	networks []netip.Prefix
	timeout  time.Duration
}

func (d *dialer) transport(cfg *Config) *http.Transport {
	d.timeout = cfg.Timeout
	return &http.Transport{
		Proxy:                  nil, // not http.ProxyFromEnvironment: it would see the decisions, and make them
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    cfg.Timeout,
		ResponseHeaderTimeout:  cfg.Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           cfg.MaxInFlight,
		MaxIdleConnsPerHost:    cfg.MaxInFlight,
		MaxConnsPerHost:        cfg.MaxInFlight,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // a limit on the body is a limit on what is read
	}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.socket != "" {
		return (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "unix", d.socket)
	}
	// The system's order of addresses is kept; each is judged when its socket is about to connect.
	return (&net.Dialer{Timeout: d.timeout, Control: d.control}).DialContext(ctx, network, address)
}

func (d *dialer) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("not an IP address and port")
	}
	addr := ap.Addr().Unmap()
	allowed := slices.ContainsFunc(d.networks, func(p netip.Prefix) bool { return p.Contains(addr) })
	switch {
	case d.local():
		if !addr.IsLoopback() {
			return fmt.Errorf("%s leads to %s, which is not this machine", d.host, addr)
		}
		return nil
	case allowed:
		return nil
	}
	return safehttp.CheckAddr(addr, safehttp.Policy{})
}

// local reports whether the endpoint names this machine.
func (d *dialer) local() bool {
	addr, err := netip.ParseAddr(d.host)
	return d.host == "localhost" || err == nil && addr.IsLoopback()
}
