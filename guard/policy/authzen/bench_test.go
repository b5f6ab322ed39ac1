package authzen_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkDecide is one decision by a service that answers at once, and by OPA, beside one Ed25519 verification.
func BenchmarkDecide(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		f, err := floor.NewEd25519(600)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := f.Verify(); err != nil {
				b.Fatal(err)
			}
		}
	})
	socket := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: answers(yes), ReadHeaderTimeout: time.Minute}}
	s.Start()
	defer s.Close()
	loopback := newService(b, answers(yes))
	for name, endpoint := range map[string]string{"unix": "unix:" + socket, "loopback": loopback.URL} {
		b.Run(name, func(b *testing.B) { decide(b, endpoint, "") })
	}
	for name, tcp := range map[string]bool{"opa-unix": false, "opa-loopback": true} {
		b.Run(name, func(b *testing.B) {
			_, endpoint := newOPA(b, tcp)
			decide(b, endpoint, "opa")
		})
	}
}

func decide(b *testing.B, endpoint, form string) {
	c := client(b, endpoint)
	if form != "" {
		c = client(b, endpoint, ofOPA)
	}
	in := input("read_file", `{"path":"/data/reports/a","limit":10}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decide(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
