package witness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// A circle is a log, three witnesses and a quorum of two.
type circle struct {
	log       *testLog
	witnesses []*Witness
	servers   []*httptest.Server
	lies      [3]atomic.Pointer[http.HandlerFunc] // instead of the witness
	asked     [3]atomic.Int32
	policy    *translog.Policy

	mu   sync.Mutex
	errs map[string]error // of witnesses, by name
}

func newCircle(t *testing.T) *circle {
	t.Helper()
	c := &circle{log: newLog(t, 9), errs: map[string]error{}}
	text := "log " + c.log.VerifierKey() + "\n"
	for i := range 3 {
		w := newWitness(t, fmt.Sprintf("w.example/%d", i), byte(20+i))
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			c.asked[i].Add(1)
			if lie := c.lies[i].Load(); lie != nil {
				(*lie)(rw, r)
				return
			}
			w.ServeHTTP(rw, r)
		}))
		t.Cleanup(server.Close)
		c.witnesses, c.servers = append(c.witnesses, w), append(c.servers, server)
		text += fmt.Sprintf("witness w%d %s %s\n", i, w.cfg.Key.VerifierKey(), server.URL)
	}
	c.policy = policyOf(t, text+"group two 2 w0 w1 w2\nquorum two\n")
	return c
}

func (c *circle) collector(t *testing.T, change ...func(*CollectorConfig)) *Collector {
	t.Helper()
	cfg := &CollectorConfig{Policy: c.policy, Proof: c.log.consistency, Grace: time.Minute, Timeout: 2 * time.Minute, OnError: func(name string, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs[name] = err
	}}
	for _, f := range change {
		f(cfg)
	}
	collector, err := NewCollector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return collector
}

func (c *circle) lie(i int, f http.HandlerFunc) { c.lies[i].Store(&f) }
func (c *circle) mend(i int)                    { c.lies[i].Store(nil) }

func (c *circle) failure(i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs[fmt.Sprintf("w%d", i)]
}

func names(cp *translog.Checkpoint) []string {
	var all []string
	for _, s := range cp.Cosignatures() {
		all = append(all, s.Witness)
	}
	slices.Sort(all)
	return all
}

func TestCollect(t *testing.T) {
	c := newCircle(t)
	collector := c.collector(t)
	for _, size := range []uint64{0, 3, 3, 9} {
		cp, err := collector.Collect(t.Context(), c.log.checkpoint(t, size))
		if err != nil {
			t.Fatal(err)
		}
		if cp.Size() != size || len(names(cp)) != 3 {
			t.Errorf("size %d, by %v", cp.Size(), names(cp))
		}
	}
	// Each was asked once a time: what it knows was known.
	if n := c.asked[0].Load(); n != 4 {
		t.Errorf("%d requests", n)
	}
	// A collector that knows nothing is told.
	if _, err := c.collector(t).Collect(t.Context(), c.log.checkpoint(t, 9)); err != nil {
		t.Fatal(err)
	}
	if n := c.asked[0].Load(); n != 6 {
		t.Errorf("%d requests", n)
	}
}

// One witness that is dead, slow or lies does no harm; two do.
func TestCollectFromThoseWhoLie(t *testing.T) {
	type liar = func(t *testing.T, c *circle) http.HandlerFunc
	status := func(code int, contentType, body string) liar {
		return func(*testing.T, *circle) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(code)
				fmt.Fprint(w, body)
			}
		}
	}
	for name, tt := range map[string]struct {
		lie  liar
		want string
	}{
		"an error":                    {status(500, "text/plain", "out of order"), "status 500"},
		"nothing":                     {status(200, "text/plain", ""), "no cosignature"},
		"no line":                     {status(200, "text/plain", "\u2014 w.example/1 AAAA\n"), "no cosignature"},
		"too much":                    {status(200, "text/plain", strings.Repeat("x", maxAnswerBytes+1)), "more than"},
		"a conflict without a size":   {status(409, "text/plain", "3\n"), "status 409"},
		"a conflict with no number":   {status(409, SizeType, "03\n"), "without the size"},
		"a conflict with a huge size": {status(409, SizeType, "9223372036854775807\n"), "9223372036854775807 entries"},
		"a conflict for ever":         {status(409, SizeType, "0\n"), "size 0"},
		"another place": {func(_ *testing.T, c *circle) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, c.servers[0].URL+addPath, http.StatusTemporaryRedirect)
			}
		}, "status 307"},
		"a cosignature of another tree": {func(t *testing.T, c *circle) http.HandlerFunc {
			line, err := c.witnesses[1].cfg.Key.cosign(textOfNote(c.log.checkpoint(t, 8)), now)
			if err != nil {
				t.Fatal(err)
			}
			return func(w http.ResponseWriter, _ *http.Request) { w.Write(line) }
		}, "no cosignature"},
		"the cosignature of another witness": {func(t *testing.T, c *circle) http.HandlerFunc {
			line, err := c.witnesses[0].cfg.Key.cosign(textOfNote(c.log.checkpoint(t, 9)), now)
			if err != nil {
				t.Fatal(err)
			}
			return func(w http.ResponseWriter, _ *http.Request) { w.Write(line) }
		}, "no cosignature"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t)
			c.lie(1, tt.lie(t, c))
			cp, err := c.collector(t).Collect(t.Context(), c.log.checkpoint(t, 9))
			if err != nil {
				t.Fatal(err)
			}
			if got := names(cp); !slices.Equal(got, []string{"w0", "w2"}) {
				t.Errorf("cosigned by %v", got)
			}
			if err := c.failure(1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("told %v, want %q", err, tt.want)
			}
			c.lie(2, tt.lie(t, c))
			if _, err := c.collector(t).Collect(t.Context(), c.log.checkpoint(t, 9)); translog.CodeOf(err) != translog.CodeWitnessQuorum {
				t.Errorf("with two liars: %v", err)
			}
		})
	}
}

func textOfNote(raw []byte) string {
	text, _, _ := bytes.Cut(raw, []byte("\n\n"))
	return string(text) + "\n"
}

// What a witness sends beside its own line does not get into the checkpoint.
func TestCollectTakesOneLine(t *testing.T) {
	c := newCircle(t)
	c.lie(1, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "\u2014 somebody.example AAAAAAAAAAAA\n")
		c.witnesses[1].ServeHTTP(w, r)
		fmt.Fprint(w, "\u2014 w.example/2 AAAAAAAAAAAA\n")
	})
	cp, err := c.collector(t).Collect(t.Context(), c.log.checkpoint(t, 9))
	if err != nil || len(names(cp)) != 3 {
		t.Fatalf("got %v, %v", cp, err)
	}
	if bytes.Contains(cp.Note(), []byte("somebody")) || bytes.Count(cp.Note(), []byte("\u2014")) != 4 {
		t.Errorf("got %s", cp.Note())
	}
}

// A witness that does not answer is not waited for once there is a quorum, and
// is asked again.
func TestCollectDoesNotWait(t *testing.T) {
	c := newCircle(t)
	c.lie(1, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the end of the connection is seen
		<-r.Context().Done()
	})
	collector := c.collector(t, func(c *CollectorConfig) { c.Grace, c.Timeout = -1, time.Hour })
	for range 2 {
		cp, err := collector.Collect(t.Context(), c.log.checkpoint(t, 9))
		if err != nil || slices.Contains(names(cp), "w1") {
			t.Fatalf("got %v, %v", cp, err)
		}
	}
	c.mend(1)
	for end := time.Now().Add(3 * time.Minute); ; {
		cp, err := c.collector(t).Collect(t.Context(), c.log.checkpoint(t, 9))
		if err == nil && len(names(cp)) == 3 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the witness is not asked again: %v", err)
		}
	}
}

// A witness that has failed is left alone for a while, longer each time.
func TestCollectBacksOff(t *testing.T) {
	c := newCircle(t)
	clock := now
	collector := c.collector(t, func(c *CollectorConfig) { c.Time = func() time.Time { return clock } })
	c.servers[1].Close()
	raw := c.log.checkpoint(t, 9)
	collect := func() {
		t.Helper()
		c.mu.Lock()
		clear(c.errs)
		c.mu.Unlock()
		if _, err := collector.Collect(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	collect()
	if c.failure(1) == nil {
		t.Fatal("a dead witness did not fail")
	}
	collect()
	if c.failure(1) != nil {
		t.Error("it was asked at once")
	}
	clock = clock.Add(minBackoff)
	collect()
	if c.failure(1) == nil {
		t.Error("it was not asked again")
	}
	clock = clock.Add(minBackoff)
	collect()
	if c.failure(1) != nil {
		t.Error("the second pause is not longer")
	}
}

func TestNewCollectorRefuses(t *testing.T) {
	c := newCircle(t)
	logLine := "log " + c.log.VerifierKey() + "\n"
	witness := "witness w " + c.witnesses[0].cfg.Key.VerifierKey()
	for _, cfg := range []*CollectorConfig{
		nil, {Policy: c.policy}, {Proof: c.log.consistency},
		{Proof: c.log.consistency, Policy: policyOf(t, logLine+"quorum none\n")},
		{Proof: c.log.consistency, Policy: policyOf(t, logLine+witness+"\nquorum w\n")}, // no URL
	} {
		if _, err := NewCollector(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if _, err := c.collector(t).Collect(t.Context(), []byte("text\n")); translog.CodeOf(err) != translog.CodeCheckpointMalformed {
		t.Errorf("collected for no checkpoint: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.collector(t).Collect(ctx, c.log.checkpoint(t, 9)); translog.CodeOf(err) != translog.CodeWitnessQuorum {
		t.Errorf("collected when time was up: %v", err)
	}
}
