package main

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

// TestFetchMetrics: what is no page of metrics is not taken for one, and no redirect is followed.
func TestFetchMetrics(t *testing.T) {
	const page = "# TYPE x counter\nx 1\n"
	text := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain; version=0.0.4") }
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		if text(w); !strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
			t.Errorf("Accept %q", r.Header.Get("Accept"))
		}
		_, _ = w.Write([]byte(page))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/metrics", http.StatusFound) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html></html>")) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		text(w)
		_, _ = w.Write(make([]byte, gates.MaxBytes+1))
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		text(w)
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(page))
	})
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for _, test := range []struct {
		url   string
		roots *x509.CertPool
		want  string // part of the error, "" for none
	}{
		{plain.URL, nil, ""},
		{plain.URL + "/metrics", nil, ""},
		{strings.Replace(plain.URL, "127.0.0.1", "localhost", 1), nil, ""},
		{secure.URL, roots, ""},
		{secure.URL, nil, "certificate"},
		{plain.URL + "/moved", nil, "status 302"},
		{plain.URL + "/nowhere", nil, "status 404"},
		{plain.URL + "/page", nil, "not the text format"},
		{plain.URL + "/long", nil, "too many"},
		{plain.URL + "/cut", nil, "unexpected EOF"},
		{"https://10.0.0.1/metrics", nil, "private"},
		{"https://169.254.169.254/", nil, "link-local"},
	} {
		client, address, err := metricsClient(test.url, test.roots)
		if err != nil {
			t.Fatalf("%s: %v", test.url, err)
		}
		got, err := fetchMetrics(t.Context(), client, address)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || err == nil && string(got) != page {
			t.Errorf("%s: %.100q, %v, want %q", test.url, got, err, test.want)
		}
	}
	for _, refused := range []string{
		"http://h.example/", "http://127.0.0.1.example/", "http://10.0.0.1/", "http://a:b@127.0.0.1/", "http://127.0.0.1/#x", "http://", "https://",
		"https://h.example:99999/", "unix:x", "unix:/x:y",
	} {
		if _, _, err := metricsClient(refused, nil); codeOf(err) != exitUsage {
			t.Errorf("%s: %v", refused, err)
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "10.0.0.1:80": false, "[2001:db8::1]:80": false, "x": false,
	} {
		if err := onlyLoopback("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}
