package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// A loadRun gets badges from $ORIGIN and verifies them, all the time, as the
// programs of others do: with one verifier that asks the authority about each.
type loadRun struct {
	end      context.CancelFunc
	requests *client.Requester
	verifier *badge.Verifier
	wg       sync.WaitGroup

	mu       sync.Mutex // guards what follows
	latest   string
	signed   map[string]int // badges that were issued, by kid
	verified int
	failed   error // the first of a badge that is good
}

// load verifies badges until the script is over: load DID KEY ACCOUNT-KEY. From
// then on `signs KID` waits until a badge that KID signed was verified, and wants
// that no verification has failed; `unload` ends it.
func load(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: load DID KEY ACCOUNT-KEY")
	}
	roots, origin := x509.NewCertPool(), ts.Getenv("ORIGIN")
	roots.AppendCertsFromPEM([]byte(ts.ReadFile("cert.pem")))
	key, err := jwk.ParsePrivate([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	account, err := client.NewAccountKey(ts.ReadFile(args[2]))
	ts.Check(err)
	subject, err := did.Parse(args[0])
	ts.Check(err)
	keys, err := client.New(&client.Config{
		Issuers: []string{origin}, RootCAs: roots, UnsafeAllowLoopback: true, MinInterval: time.Second, Timeout: time.Minute,
	})
	ts.Check(err)
	r := &loadRun{signed: map[string]int{}}
	r.requests, err = client.NewRequester(&client.RequesterConfig{
		Issuer: origin, Subject: subject, AccountKey: account, Assurance: badge.AssuranceAccount, Key: key.Key,
		RootCAs: roots, UnsafeAllowLoopback: true, Timeout: time.Minute,
	})
	ts.Check(err)
	r.verifier, err = badge.NewVerifier(&badge.Config{Issuers: []string{origin}, Keys: keys, Status: keys, Resolver: did.StaticResolver{}})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	r.end = func() {
		once.Do(func() {
			cancel()
			r.wg.Wait()
			keys.Close()
		})
	}
	ts.Defer(r.end)
	r.wg.Go(func() { r.request(ctx) })
	for range 2 {
		r.wg.Go(func() { r.verify(ctx) })
	}
	ts.SetCmd("signs", r.signs)
	ts.SetCmd("unload", func(*testscript.TestScript, bool, []string) { r.end() })
}

// request gets a new badge from time to time: a hundred an hour are allowed, and the script wants some as well.
func (r *loadRun) request(ctx context.Context) {
	for pause := time.Second; ctx.Err() == nil; pause += time.Second / 5 {
		b, err := r.requests.Request(ctx)
		var refused *client.RefusedError
		switch {
		case err == nil:
			r.mu.Lock()
			r.latest = b.Token()
			r.mu.Unlock()
		case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests: // on a machine that is slow
		default:
			r.note(ctx, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (r *loadRun) verify(ctx context.Context) {
	for ctx.Err() == nil {
		r.mu.Lock()
		token := r.latest
		r.mu.Unlock()
		if token == "" {
			time.Sleep(time.Millisecond)
			continue
		}
		b, err := r.verifier.Verify(ctx, token)
		if err != nil {
			r.note(ctx, err)
			continue
		}
		r.mu.Lock()
		r.signed[b.IssuerKeyID()]++
		r.verified++
		r.mu.Unlock()
	}
}

func (r *loadRun) note(ctx context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil && r.failed == nil {
		r.failed = err
	}
}

func (r *loadRun) signs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: signs KID")
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		n, verified, err := r.signed[strings.TrimSpace(args[0])], r.verified, r.failed
		r.mu.Unlock()
		switch {
		case err != nil:
			ts.Fatalf("after %d verifications: %v", verified, err)
		case n >= 20:
			ts.Logf("%d verifications without a failure", verified)
			return
		case time.Since(began) > 2*time.Minute:
			ts.Fatalf("%d verifications, and none of a badge by %s", verified, args[0])
		}
	}
}
