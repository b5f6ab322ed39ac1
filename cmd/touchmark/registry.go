package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	accountKeyHeader = "X-Capiscio-Registry-Key"
	maxAnswerBytes   = 4 << 20
	maxMessageBytes  = 300
)

// registryFlags are the flags of the commands that talk to an authority.
func registryFlags(extra ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "issuer", Usage: "the authority, its https origin `URL`"},
		&cli.StringFlag{Name: "ca-file", Usage: "verify its server with the PEM certificates in `FILE` instead of the system's"},
		&cli.BoolFlag{Name: "insecure-loopback", Usage: "allow an authority at a loopback address, for development"},
	}, extra...)
}

func accountKeyFlag() cli.Flag {
	return &cli.PathFlag{Name: "account-key-file", Usage: "the account key, in `FILE`"}
}

// A registry is an authority as its clients see it.
type registry struct {
	issuer string
	key    string // of the account; a secret
	roots  *x509.CertPool
	http   *http.Client
}

// openRegistry returns the authority that the flags name, for the account whose
// key --account-key-file has, or for nobody in particular.
func openRegistry(ctx *cli.Context, account bool) (*registry, error) {
	want := []string{"issuer"}
	if account {
		want = append(want, "account-key-file")
	}
	if err := required(ctx, want...); err != nil {
		return nil, err
	}
	t, err := newTrust(ctx)
	if err != nil {
		return nil, err
	}
	issuer, _ := issuerAndFile(ctx)
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	policy := safehttp.Policy{UnsafeAllowLoopback: ctx.Bool("insecure-loopback")}
	if u, err := url.Parse(issuer); err == nil && u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, usagef("--issuer %q: %v", issuer, err)
		}
		policy.AllowPorts = []uint16{uint16(port)}
	}
	r := &registry{issuer: issuer, roots: t.roots, http: safehttp.NewClient(&safehttp.Config{Policy: policy, RootCAs: t.roots})}
	if account {
		r.key, err = readAccountKey(ctx)
	}
	return r, err
}

// issuerAndFile splits --issuer URL=JWKS.json.
func issuerAndFile(ctx *cli.Context) (issuer, file string) {
	issuer, file, _ = strings.Cut(ctx.String("issuer"), "=")
	return issuer, file
}

func readAccountKey(ctx *cli.Context) (string, error) {
	name := ctx.Path("account-key-file")
	text, err := consoleOf(ctx).readToken(name)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(text, "{\n") || strings.HasPrefix(text, "-----") { // it would be sent, and may be a private key
		return "", hint(usagef("--account-key-file %s holds no account key", name), "an account key is one word on one line")
	}
	if _, err := client.NewAccountKey(text); err != nil {
		return "", usagef("--account-key-file %s: %v", name, err)
	}
	return text, nil
}

// agentPath is the path of what an authority has about an agent.
func agentPath(d did.DID, what string) string {
	return "/v1/agents/" + url.QueryEscape(d.String()) + what // PathEscape leaves colons as they are
}

// get reads JSON; post sends some and reads the answer.
func (r *registry) get(ctx context.Context, path string, out any) error {
	return r.exchange(ctx, http.MethodGet, path, nil, out)
}

func (r *registry) post(ctx context.Context, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return r.exchange(ctx, http.MethodPost, path, text, out)
}

func (r *registry) exchange(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, r.issuer+path, bytes.NewReader(body))
	if err != nil {
		return malformed(err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set(accountKeyHeader, r.key)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return err
	}
	if len(answer) > maxAnswerBytes {
		return r.unusable(resp, "it has more than %d bytes", maxAnswerBytes)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return r.refusal(resp, answer)
	}
	if err := strictjson.Unmarshal(answer, out); err != nil {
		return r.unusable(resp, "%v", err)
	}
	return nil
}

func (r *registry) unusable(resp *http.Response, format string, args ...any) error {
	return &client.AnswerError{Issuer: r.issuer, Status: resp.StatusCode, Reason: fmt.Sprintf(format, args...)}
}

func (r *registry) refusal(resp *http.Response, answer []byte) error {
	var e struct {
		Code    string `json:"error"`
		Message string `json:"message"`
	}
	if err := strictjson.Unmarshal(answer, &e); err != nil || e.Code == "" || len(e.Code) > 64 {
		return r.unusable(resp, "it is no error of an authority")
	}
	if r.key != "" {
		e.Message = strings.ReplaceAll(e.Message, r.key, "[account key]")
	}
	if len(e.Message) > maxMessageBytes {
		e.Message = strings.ToValidUTF8(e.Message[:maxMessageBytes], "") + "..."
	}
	seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16) // 0 for what is no number
	return &client.RefusedError{
		Issuer: r.issuer, Status: resp.StatusCode, Code: e.Code, Message: e.Message, RetryAfter: time.Duration(seconds) * time.Second,
	}
}
