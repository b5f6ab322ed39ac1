package httpguard

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// A Transport presents a badge with each request to one server, and a call proof of its own with each. All members but
// Base, Audience and TxnID are required. It is an [http.RoundTripper], safe for concurrent use if Key is.
type Transport struct {
	Base http.RoundTripper // nil means http.DefaultTransport

	// URL is where the server is, as in the server's [Options]. Requests for anything else are refused: the badge is for
	// this server alone. So are requests that an [http.Client] makes because the server redirected it: nobody has his
	// caller sign what the caller did not ask for.
	URL string

	// UnsafePlaintext sends the badge over http beyond loopback, where whoever is on the way sees it.
	UnsafePlaintext bool

	Server   did.DID // the server's DID, verified; see package serververify
	Audience string  // as in pop.Statement
	Badge    string
	Key      crypto.Signer // the badge's
	TxnID    string        // of all requests; empty makes each a transaction of its own
}

// RoundTrip implements [http.RoundTripper]. Bodies are read into memory to be signed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readAll(req.Body)
	if err != nil {
		return nil, err
	}
	if req.Response != nil {
		return nil, fmt.Errorf("httpguard: a redirect to %q: nothing is signed for it; ask for it as a request of its own", req.URL.Redacted())
	}
	out := req.Clone(req.Context())
	if err := t.sign(out, body); err != nil {
		return nil, fmt.Errorf("httpguard: %w", err)
	}
	out.Body, out.ContentLength, out.GetBody = http.NoBody, int64(len(body)), nil
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(out)
}

func readAll(r io.ReadCloser) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r)
	return body, errors.Join(err, r.Close())
}

// sign adds the credentials of a request.
func (t *Transport) sign(req *http.Request, body []byte) error {
	within, err := t.within(req.URL)
	if err != nil {
		return err
	}
	text, _, wrong := argumentsOf(within, req.Header, body)
	if wrong != nil || !cleanPath(within) {
		return errors.New("the path, the query or the body is one that a guarded server refuses")
	}
	b, err := badge.Inspect(t.Badge)
	if err != nil {
		return err
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	txn := t.TxnID
	if txn == "" {
		txn = pop.NewTxnID()
	}
	proof, err := pop.Sign(t.Key, &pop.Statement{
		Call:    &pop.Call{Method: method, Target: within.Path, Arguments: text},
		Subject: b.Subject, BadgeID: b.BadgeID, Server: t.Server, TxnID: txn, Audience: t.Audience,
		HTTPMethod: method, HTTPURI: strings.TrimSuffix(t.URL, "/") + within.EscapedPath(),
	})
	if err != nil {
		return err
	}
	req.Header.Set(mcpwire.HeaderBadge, t.Badge)
	req.Header.Set(mcpwire.HeaderHop, proof)
	req.Header.Set(mcpwire.HeaderTxn, txn)
	return nil
}

// within returns the URL of a request as its server sees it, below [Transport.URL].
func (t *Transport) within(u *url.URL) (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(t.URL, "/"))
	if err != nil {
		return nil, err
	}
	if base.Scheme != "https" && !t.UnsafePlaintext && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("%s://%s would carry the badge in clear: use https", base.Scheme, base.Host)
	}
	escaped, ok := strings.CutPrefix(u.EscapedPath(), base.EscapedPath())
	if escaped == "" {
		escaped = "/"
	}
	if !ok || u.Scheme != base.Scheme || u.Host != base.Host || base.Host == "" || !strings.HasPrefix(escaped, "/") {
		return nil, fmt.Errorf("%s://%s is not below %s: nothing is signed for it", u.Scheme, u.Host, t.URL)
	}
	within := &url.URL{RawQuery: u.RawQuery}
	if within.Path, err = url.PathUnescape(escaped); err != nil {
		return nil, err
	}
	within.RawPath = escaped
	return within, nil
}

// loopback reports whether a host is this machine. Names are not looked up.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
