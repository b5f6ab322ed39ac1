package safehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
)

// Defaults and limits of a client.
const (
	DefaultTimeout = 10 * time.Second // of one exchange, from the name look-up to the last byte
	maxHeaderBytes = 64 << 10
	maxAddresses   = 8 // of one name that are tried
	idleTimeout    = 30 * time.Second
	maxIdle        = 16
)

// Config configures a client. The zero Config is the strict one.
type Config struct {
	Policy

	// RootCAs are the authorities that servers are verified against, the
	// system's when nil.
	RootCAs *x509.CertPool

	// Timeout bounds one exchange. Zero means DefaultTimeout.
	Timeout time.Duration

	// Lookup finds the addresses of a host name. Nil means the system's
	// resolver. What it returns is checked like any other answer.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// NewClient returns a client for [Get]. It has no cookies, no proxy and no
// credentials, and hands a redirect back instead of following it.
func NewClient(cfg *Config) *http.Client {
	return &http.Client{
		Transport: NewTransport(cfg),
		Timeout:   timeout(cfg),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// NewTransport returns the transport of [NewClient] for callers that need
// their own client. It refuses every scheme but https.
func NewTransport(cfg *Config) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil, // not http.ProxyFromEnvironment: the proxy would dial, unchecked
		DialContext:            NewDialer(cfg).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    timeout(cfg),
		ResponseHeaderTimeout:  timeout(cfg),
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // a limit on the body is a limit on what is read
		ForceAttemptHTTP2:      true,
	}
	t.RegisterProtocol("http", refuseScheme{})
	return t
}

func timeout(cfg *Config) time.Duration {
	if cfg.Timeout > 0 {
		return cfg.Timeout
	}
	return DefaultTimeout
}

type refuseScheme struct{}

func (refuseScheme) RoundTrip(req *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("scheme %q refused, use https", req.URL.Scheme)
}

// StatusError reports an answer other than 200.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	if 300 <= e.Code && e.Code < 400 {
		return fmt.Sprintf("status %d: redirects are not followed", e.Code)
	}
	return fmt.Sprintf("status %d", e.Code)
}

// TooLargeError reports a body of more than Limit bytes.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the body has more than %d bytes", e.Limit)
}

// Get fetches url with a client from [NewClient] and returns a body of at most
// maxBytes. An answer other than 200 is a *[StatusError], a longer body a
// *[TooLargeError], an address that is not allowed an *[AddrError]; they may
// be wrapped. The content type is not looked at: what reads the body decides.
func Get(ctx context.Context, client *http.Client, url string, maxBytes int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("scheme %q refused, use https", req.URL.Scheme)
	}
	req.Header.Set("Accept", "application/json, application/did+json, application/did+ld+json;q=0.9, */*;q=0.1")
	req.Header.Set("User-Agent", "touchmark")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{Code: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > maxBytes {
		return nil, &TooLargeError{Limit: maxBytes}
	}
	return body, nil
}
