package domain

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

const (
	httpPort       = 80
	maxBody        = 1 << 10 // RFC-002 section 7.3.7
	maxHeaderBytes = 16 << 10
)

// HTTP01 fetches [URL] of domain and token and compares the body with want, which is [Content] of the same
// token. A nil error says that domain showed it; every error is an *[Error].
func (v *Validator) HTTP01(ctx context.Context, domain, token, want string) error {
	if err := checkDomain(domain); err != nil {
		return err
	}
	if of, err := checkContent(want); err != nil {
		return err
	} else if of != token {
		return refuse(CodeChallengeInvalid, "the expected content is of another token")
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	body, err := v.fetch(ctx, URL(domain, token))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(trimLine(body)), []byte(want)) != 1 {
		return refuse(CodeChallengeMismatch, "%.260q shows another content than the challenge's", domain)
	}
	return nil
}

// fetch returns the body of a 200 answer. The address is that of the name asked for, on one port, and of no
// other name: no redirect is followed, and no proxy asked.
func (v *Validator) fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", refuse(CodeChallengeInvalid, "the challenge has no URL").because(err)
	}
	req.Header.Set("Accept", "text/plain, */*;q=0.1")
	req.Header.Set("User-Agent", "touchmark")
	resp, err := v.client.Do(req)
	if err != nil {
		return "", failure(ctx, err, CodeChallengeConnectionFailed)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case 300 <= code && code < 400:
		return "", refuse(CodeChallengeRedirect, "status %d: redirects are not followed: answer on port 80 itself", code)
	case code != http.StatusOK:
		return "", refuse(CodeChallengeStatus, "status %d: want 200", code)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case len(body) > maxBody:
		return "", refuse(CodeChallengeTooLarge, "the body has more than %d bytes", maxBody)
	case err != nil:
		return "", failure(ctx, err, CodeChallengeConnectionFailed)
	}
	return string(body), nil
}

// trimLine takes one line ending off, LF or CRLF, which editors and echo write.
func trimLine(body string) string {
	line, ok := strings.CutSuffix(body, "\n")
	if !ok {
		return body
	}
	return strings.TrimSuffix(line, "\r")
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// transport is one for plain HTTP/1.1 that dials through the judge of addresses. A connection serves one
// request: what was judged for one validation is not used for the next.
func (v *Validator) transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // not http.ProxyFromEnvironment: the proxy would dial, unchecked
		DialContext:            v.dial,
		ResponseHeaderTimeout:  min(connectTimeout, v.timeout),
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableKeepAlives:      true,
		DisableCompression:     true, // a limit on the body is a limit on what is read
	}
}

// dial connects to a host on the port of challenges, and on no other, whatever the URL says.
func (v *Validator) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if port != strconv.Itoa(httpPort) {
		return nil, fmt.Errorf("port %q refused, challenges are on port %d", port, httpPort)
	}
	ctx, cancel := context.WithTimeout(ctx, min(connectTimeout, v.timeout)) // the transport takes the deadline off
	defer cancel()
	return v.dialer.DialContext(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(v.port))))
}
