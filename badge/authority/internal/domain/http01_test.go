package domain

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func show(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, content) }
}

func TestHTTP01(t *testing.T) {
	for _, body := range []string{testContent, testContent + "\n", testContent + "\r\n"} {
		v := newValidator(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.Host != testDomain || r.RequestURI != "/.well-known/capiscio-challenge/"+testToken || r.TLS != nil {
				t.Errorf("%s %s of %s", r.Method, r.RequestURI, r.Host)
			}
			io.WriteString(w, body)
		})
		if err := v.HTTP01(t.Context(), testDomain, testToken, testContent); err != nil {
			t.Error(err)
		}
	}
}

// What a static configuration of RFC-002 section 7.3.2 serves, for tokens that it was never told.
func TestHTTP01StaticContent(t *testing.T) {
	v := newValidator(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.TrimPrefix(r.URL.Path, challengePath)+"."+testPrint)
	})
	for range 3 {
		token := NewToken()
		if err := v.HTTP01(t.Context(), testDomain, token, Content(token, testPrint)); err != nil {
			t.Error(err)
		}
	}
}

func TestHTTP01WrongContent(t *testing.T) {
	var gz bytes.Buffer
	zw := gzip.NewWriter(&gz)
	io.WriteString(zw, testContent)
	zw.Close()
	for name, body := range map[string]string{
		"empty":              "",
		"suffix":             testContent + "x",
		"suffix line":        testContent + "\nx",
		"two line endings":   testContent + "\n\n",
		"lone CR":            testContent + "\r",
		"space after":        testContent + " ",
		"space before":       " " + testContent,
		"NUL after":          testContent + "\x00",
		"byte order mark":    "\ufeff" + testContent,
		"quoted":             `"` + testContent + `"`,
		"HTML":               "<html>" + testContent + "</html>",
		"token only":         testToken,
		"token and dot":      testToken + ".",
		"no thumbprint":      testToken + "\n",
		"cut":                testContent[:len(testContent)-1],
		"other thumbprint":   Content(testToken, strings.Replace(testPrint, "N", "M", 1)),
		"other token":        Content(strings.Replace(testToken, "L", "M", 1), testPrint),
		"lower case":         strings.ToLower(testContent),
		"prefixed":           Content(testToken, "sha256:"+testPrint),
		"padded":             testContent + "=",
		"twice":              testContent + testContent,
		"compressed":         gz.String(),
		"largest wrong body": strings.Repeat("x", maxBody),
	} {
		v := newValidator(t, show(body))
		t.Run(name, func(t *testing.T) {
			wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeMismatch, false)
		})
	}
}

func TestHTTP01CompressedAnswer(t *testing.T) {
	v := newValidator(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		io.WriteString(zw, testContent)
		zw.Close()
	})
	wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeMismatch, false)
}

// Every redirect is refused, be it to loopback, to the metadata service, or to where the content is.
func TestHTTP01Redirect(t *testing.T) {
	var followed atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Add(1)
		io.WriteString(w, testContent)
	}))
	defer target.Close()
	for _, location := range []string{
		target.URL, "/elsewhere", "https://" + testDomain + challengePath + testToken, "http://localhost/", "http://169.254.169.254/latest/",
		"file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "//127.0.0.1/", "",
	} {
		for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
			v := newValidator(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != challengePath+testToken {
					followed.Add(1)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeRedirect, false)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestHTTP01Status(t *testing.T) {
	for _, status := range []int{201, 202, 203, 204, 206, 400, 401, 403, 404, 410, 500, 503} {
		v := newValidator(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, testContent)
		})
		wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeStatus, false)
	}
}

func TestHTTP01HugeBody(t *testing.T) {
	var written atomic.Int64
	done := make(chan struct{})
	v := newValidator(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		io.WriteString(w, testContent+"\n")
		for chunk := bytes.Repeat([]byte{'x'}, 64<<10); ; {
			n, err := w.Write(chunk)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeTooLarge, false)
	within(t, func() { <-done }) // the connection was closed on it

	v = newValidator(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, testContent+strings.Repeat("\n", maxBody+1-len(testContent)))
	})
	wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeTooLarge, false)
}

// A server that sends a byte now and then holds a validation no longer than its time.
func TestHTTP01SlowBody(t *testing.T) {
	for _, beforeHeader := range []bool{true, false} {
		v := newValidator(t, func(w http.ResponseWriter, r *http.Request) {
			if beforeHeader {
				<-r.Context().Done()
				return
			}
			for i := 0; r.Context().Err() == nil; i++ {
				w.Write([]byte{testContent[i%len(testContent)]})
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		})
		v.timeout = 200 * time.Millisecond
		within(t, func() {
			wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeTimeout, true)
		})
	}
}

func TestHTTP01Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := newValidator(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	within(t, func() {
		wantCode(t, v.HTTP01(ctx, testDomain, testToken, testContent), CodeChallengeTimeout, true)
	})
}

// Answers that are no HTTP, or too much of it.
func TestHTTP01BrokenAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP/0.9":        testContent,
		"nothing":         "",
		"endless header":  "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 64) + "\r\n" + testContent,
		"short body":      "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + testContent,
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 500\r\n\r\n" + testContent,
		"negative length": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + testContent,
	} {
		v := newValidator(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, answer)
			conn.Close()
		})
		t.Run(name, func(t *testing.T) {
			wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeConnectionFailed, true)
		})
	}
}

// Nobody listens at another loopback address, on a port that stays taken: one that was freed could be given to anybody.
func TestHTTP01NothingListens(t *testing.T) {
	s := httptest.NewServer(show(testContent))
	defer s.Close()
	v := validatorFor(t, s, at("127.9.8.7"))
	wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, testContent), CodeChallengeConnectionFailed, true)
}

// Nothing is asked and nothing is fetched for a name or a token that has not the one form.
func TestHTTP01Input(t *testing.T) {
	v, err := New(&Config{Resolver: names{
		ip:  func(host string) ([]netip.Addr, error) { t.Errorf("%q looked up", host); return nil, nil },
		txt: func(name string) ([]string, error) { t.Errorf("%q looked up", name); return nil, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{
		"API.acme.com", "api.acme.com.", "api.acme.com:8080", "127.0.0.1", "[::1]", "localhost", "a.internal", "u@acme.com", "acme.com/..", "", "bücher.com",
	} {
		for _, err := range []error{v.HTTP01(t.Context(), domain, testToken, testContent), v.DNS01(t.Context(), domain, testContent)} {
			if CodeOf(err).Wire() != "INVALID_DOMAIN" {
				t.Errorf("%q: %v", domain, err)
			}
		}
	}
	for _, token := range []string{
		"", "short", "../../../../etc/passwd-and-more", "..%2f..%2f..%2f..%2fetc%2fpasswd", strings.Repeat("a", 21), strings.Repeat("a", 129),
		testToken + "/", testToken + "?x", testToken + "#", testToken + "\r\nHost: x", testToken + " ", testToken + "=", testToken + "é",
	} {
		wantCode(t, v.HTTP01(t.Context(), testDomain, token, Content(token, testPrint)), CodeChallengeInvalid, false)
	}
	for _, want := range []string{
		"", ".", testToken, testToken + ".", testToken + "." + testPrint + "x", testToken + ".." + testPrint, "." + testPrint,
		testToken + "." + testPrint[:42], testToken + "." + testPrint[:42] + "t", testToken + "." + testPrint[:42] + "\n", testContent + ".x",
		strings.Replace(testToken, "L", "M", 1) + "." + testPrint,
	} {
		wantCode(t, v.HTTP01(t.Context(), testDomain, testToken, want), CodeChallengeInvalid, false)
	}
	for _, want := range []string{"", ".", testToken, testToken + ".", "x." + testPrint, "v=spf1 -all"} {
		wantCode(t, v.DNS01(t.Context(), testDomain, want), CodeChallengeInvalid, false)
	}
}

func TestNew(t *testing.T) {
	for _, cfg := range []*Config{{UnsafePort: 8080}, {Timeout: -1}, {Timeout: MaxTimeout + 1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeded", cfg)
		}
	}
	v, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.timeout != DefaultTimeout || v.port != 80 {
		t.Errorf("time %v, port %d", v.timeout, v.port)
	}
	if v.transport().Proxy != nil {
		t.Error("a proxy would dial, unchecked")
	}
	if r, ok := v.resolver.(*net.Resolver); !ok || !r.PreferGo {
		t.Errorf("resolver %+v", v.resolver)
	}
}

// Port 80 is the only port, even if a URL said another.
func TestDialPort(t *testing.T) {
	v := newValidator(t, show(""))
	for _, port := range []int{0, 22, 443, 8080, int(v.port)} {
		if conn, err := v.dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", testDomain, port)); err == nil {
			conn.Close()
			t.Errorf("port %d was dialled", port)
		}
	}
	if _, err := v.dial(t.Context(), "tcp", "no port"); err == nil {
		t.Error("dialled without a port")
	}
}

func TestNewToken(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		token := NewToken()
		if seen[token] || checkToken(token) != nil {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
}
