package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/client"
)

// A certificate that was renewed is taken up, and one that is half written is not.
func TestCertificateIsRead(t *testing.T) {
	dir := t.TempDir()
	c := &certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "cert.key")}
	if _, err := c.get(nil); codeOf(err) != exitUndetermined {
		t.Fatalf("no file: %v", err)
	}
	write := func(at time.Time) {
		t.Helper()
		cert, key := makeCertificate(t)
		for name, text := range map[string][]byte{c.cert: cert, c.key: key} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(c.cert, at, at); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	write(began)
	first, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.get(nil); err != nil || again != first {
		t.Fatalf("an unchanged file was read again: %v", err)
	}
	if err := os.WriteFile(c.cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(c.cert, began.Add(time.Second), began.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if kept, err := c.get(nil); err != nil || kept != first {
		t.Fatalf("a broken file took the place of a good one: %v", err)
	}
	write(began.Add(2 * time.Second))
	second, err := c.get(nil)
	if err != nil || bytes.Equal(second.Certificate[0], first.Certificate[0]) {
		t.Fatalf("the new certificate is not used: %v", err)
	}
	if err := os.Remove(c.cert); err != nil {
		t.Fatal(err)
	}
	if kept, err := c.get(nil); err != nil || kept != second {
		t.Fatalf("without the file: %v", err)
	}
}

func TestServerTLSRefuses(t *testing.T) {
	for _, args := range [][]string{{}, {"--tls-cert=a"}, {"--tls-key=a"}, {"--behind-proxy", "--tls-key=a"}} {
		set := flag.NewFlagSet("serve", flag.ContinueOnError)
		for _, f := range authorityServeCommand().Flags {
			if err := f.Apply(set); err != nil {
				t.Fatal(err)
			}
		}
		if err := set.Parse(args); err != nil {
			t.Fatal(err)
		}
		if _, err := serverTLS(cli.NewContext(newApp(newConsole(nil, io.Discard, io.Discard)), set, nil)); codeOf(err) != exitUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestCheckDatabase(t *testing.T) {
	for _, good := range []string{"sqlite:a.db", "postgres://u@h/db", "postgres://h/db?sslmode=verify-full"} {
		if err := checkDatabase("database", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"postgres://u:hunter2@h/db", "postgres://u:@h/db", "postgres://h/db?password=hunter2", "postgres://u:hunter2@h:x/db"} {
		err := checkDatabase("database", bad)
		if codeOf(err) != exitUsage || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What an authority answers is an answer, a refusal, or of no use, and an account
// key that it repeats is not shown.
func TestRegistryAnswers(t *testing.T) {
	const key = "tmk_abc.def"
	for _, test := range []struct {
		status int
		body   string
		want   exitCode
		code   string
	}{
		{200, `{"a":1}`, exitOK, ""},
		{200, `{"a":1,"a":2}`, exitUndetermined, codeUnavailable},
		{200, `<html>`, exitUndetermined, codeUnavailable},
		{204, ``, exitUndetermined, codeUnavailable},
		{302, ``, exitUndetermined, codeUnavailable},
		{403, `{"error":"forbidden","message":"not for ` + key + `"}`, exitRejected, "forbidden"},
		{404, `not found`, exitUndetermined, codeUnavailable},
		{409, `{"error":"already_exists","message":"m"}`, exitRejected, "already_exists"},
		{429, `{"error":"rate_limit_exceeded","message":"m"}`, exitUndetermined, "rate_limit_exceeded"},
		{503, `{"error":"temporarily_unavailable","message":"` + strings.Repeat("é", 400) + `"}`, exitUndetermined, "temporarily_unavailable"},
		{200, `{"a":"` + strings.Repeat("x", maxAnswerBytes) + `"}`, exitUndetermined, codeUnavailable},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(accountKeyHeader) != key {
				t.Errorf("account key %q", r.Header.Get(accountKeyHeader))
			}
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		r := &registry{issuer: server.URL, key: key, http: server.Client()}
		var out map[string]any
		err := r.post(t.Context(), "/", map[string]string{}, &out)
		if codeOf(err) != test.want || err != nil && reasonCode(err) != test.code {
			t.Errorf("%d %.40q: exit code %d, %v", test.status, test.body, codeOf(err), err)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%d: the account key is in %q", test.status, err)
		}
		server.Close()
	}
}

// The order is that of the authority's database, in which a-c may come after ab. A registry whose list goes round in
// circles does not keep a client for ever.
func TestAgentsInOrder(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"agents":[{"did":"did:web:ab"},{"did":"did:web:a-c"}]}`)
	}))
	defer server.Close()
	r, seen := &registry{issuer: server.URL, http: server.Client()}, map[string]bool{}
	if page, err := r.agents(t.Context(), "", seen); err != nil || len(page) != 2 {
		t.Errorf("agents in another order than that of bytes: %v, %v", page, err)
	}
	if _, err := r.agents(t.Context(), "did:web:a-c", seen); !is[*client.AnswerError](err) {
		t.Errorf("the same agents again: %v", err)
	}
}
