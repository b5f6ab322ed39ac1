package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// Limits of a [Client].
const (
	MaxBatch         = 512 // entries in one request
	maxResponseBytes = 64 << 10
	tries            = 4 // of one request, where the collector asks for it
	requestTimeout   = 30 * time.Second
	maxPause         = 30 * time.Second
)

// A ClientConfig says where a collector is.
type ClientConfig struct {
	URL    string            // without /v1/logs; https, or http on this machine
	Header map[string]string // of each request, such as Authorization
	Form   Form
	Client *http.Client  // nil means one that follows no redirects, and takes the proxy that the environment names
	Pause  time.Duration // before the second try, doubled with each further one; 0 means a second
}

// A Client sends entries to a collector by OTLP over HTTP, in the JSON encoding.
type Client struct {
	cfg  ClientConfig
	url  string
	http *http.Client
}

// NewClient refuses a collector to which records would go in clear over a network.
func NewClient(cfg *ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("export: no URL of a collector, such as https://collector.example:4318")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("export: OTLP to %q by %q: use https, or a collector on this machine", u.Host, u.Scheme)
	}
	c := &Client{cfg: *cfg, url: u.JoinPath("v1/logs").String(), http: cfg.Client}
	if c.http == nil {
		c.http = &http.Client{Timeout: requestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.cfg.Pause <= 0 {
		c.cfg.Pause = time.Second
	}
	return c, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// A RefusedError says that a collector did not take what it was sent.
type RefusedError struct {
	Status   int // of HTTP
	Rejected int // how many logs it left out of a request that it took; which, it does not say
}

func (e *RefusedError) Error() string {
	if e.Rejected > 0 {
		return fmt.Sprintf("export: the collector rejected %d of the logs", e.Rejected)
	}
	return fmt.Sprintf("export: the collector answered with status %d", e.Status)
}

// Push sends at most [MaxBatch] entries, and returns nil when the collector took all of them. It tries again where the
// collector is busy or cannot be reached. Then a collector may get logs twice: their touchmark.evidence.id tells.
func (c *Client) Push(ctx context.Context, entries []*evidence.UnverifiedEntry) error {
	if len(entries) > MaxBatch {
		return fmt.Errorf("export: %d entries in one request, the limit is %d", len(entries), MaxBatch)
	}
	body, err := Logs(entries, c.cfg.Form)
	if err != nil {
		return err
	}
	pause := c.cfg.Pause
	for try := 1; ; try++ {
		wait, err := c.post(ctx, body)
		if err == nil || wait < 0 || try == tries {
			return err
		}
		timer := time.NewTimer(min(max(wait, pause), maxPause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		case <-timer.C:
		}
		pause *= 2
	}
}

// post sends a request. A wait that is not negative says that another try may succeed after it.
func (c *Client) post(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, fmt.Errorf("export: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, v := range c.cfg.Header {
		req.Header.Set(name, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var failed net.Error
		if errors.As(err, &failed) && ctx.Err() == nil {
			return 0, fmt.Errorf("export: %w", err)
		}
		return -1, fmt.Errorf("export: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxResponseBytes))
	switch {
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 502 && res.StatusCode <= 504:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return time.Duration(max(0, min(seconds, 3600))) * time.Second, &RefusedError{Status: res.StatusCode}
	case res.StatusCode != http.StatusOK:
		return -1, &RefusedError{Status: res.StatusCode}
	case err != nil:
		return 0, fmt.Errorf("export: %w", err)
	}
	return -1, partial(answer)
}

// partial reads what a collector says that it did not take. An empty answer, or one that is not in JSON, says nothing.
func partial(answer []byte) error {
	var got struct {
		PartialSuccess struct {
			Rejected json.RawMessage `json:"rejectedLogRecords"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &got) != nil {
		return nil
	}
	// The JSON encoding has 64-bit numbers as strings, and takes numbers.
	n, err := strconv.Atoi(string(bytes.Trim(got.PartialSuccess.Rejected, `"`)))
	if err == nil && n > 0 {
		return &RefusedError{Status: http.StatusOK, Rejected: n}
	}
	return nil
}
