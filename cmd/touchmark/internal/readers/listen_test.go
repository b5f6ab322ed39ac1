package readers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const large = 200 << 10

// A world is a server on a real socket. It answers "fine", but for /slow: that is sent without end, for /large, and for
// /wait: that waits for release.
type world struct {
	t       *testing.T
	limits  *Limits
	addr    string
	ln      net.Listener
	done    chan struct{} // closed when nothing more is accepted
	arrived chan struct{} // one for each of /slow and /wait
	release chan struct{}
	free    sync.Once
}

func newWorld(t *testing.T, cfg *Config) *world {
	t.Helper()
	return newWorldOf(t, cfg, (*Limits).Protect)
}

func newWorldOf(t *testing.T, cfg *Config, protect func(*Limits, *http.Server)) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, limits: limits(t, cfg), addr: ln.Addr().String(),
		done: make(chan struct{}), arrived: make(chan struct{}, 1000), release: make(chan struct{}),
	}
	w.ln = w.limits.Listener(ln)
	server := &http.Server{Handler: http.HandlerFunc(w.handle), ReadHeaderTimeout: time.Minute}
	protect(w.limits, server)
	go func() { defer close(w.done); _ = server.Serve(w.ln) }()
	t.Cleanup(func() { w.let(); _ = server.Close(); <-w.done })
	return w
}

// let has those at /wait be answered.
func (w *world) let() { w.free.Do(func() { close(w.release) }) }

func (w *world) handle(to http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		w.arrived <- struct{}{}
		for err := error(nil); err == nil; {
			_, err = to.Write(make([]byte, 1<<16))
		}
	case "/large": // more than a reader's system takes who does not read, and less than is kept here
		_, _ = to.Write(make([]byte, large))
		return
	case "/wait":
		w.arrived <- struct{}{}
		<-w.release
	}
	ok.ServeHTTP(to, r)
}

// dial connects from a loopback address of its own, 127.0.0.n.
func (w *world) dial(n int, control ...func(_, _ string, raw syscall.RawConn) error) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(n))}}
	for _, c := range control {
		d.Control = c
	}
	c, err := d.Dial("tcp", w.addr)
	if err != nil {
		w.t.Skipf("this system has one loopback address: %v", err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// ask asks on a connection for what is not answered at once, and waits until the server is at work on it.
func (w *world) ask(c net.Conn, path string, forwarded ...string) {
	w.t.Helper()
	send(c, path, forwarded...)
	select {
	case <-w.arrived:
	case <-time.After(time.Minute):
		w.t.Fatalf("%s did not arrive", path)
	}
}

func send(c net.Conn, path string, forwarded ...string) {
	header := "Host: a\r\n"
	for _, f := range forwarded {
		header += "X-Forwarded-For: " + f + "\r\n"
	}
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\n"+header+"\r\n") //nolint:errcheck // the answer says it
}

// read returns what is answered within a while.
func read(c net.Conn, patience time.Duration) string {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	return string(b[:n])
}

// get asks on a connection, and returns what is answered.
func get(c net.Conn) string {
	send(c, "/checkpoint")
	return read(c, time.Minute)
}

func (w *world) wantFine(c net.Conn, who string) {
	w.t.Helper()
	if got := get(c); !strings.HasSuffix(got, "fine") {
		w.t.Fatalf("%s got %q", who, got)
	}
}

// counted are the connections that there are, and how many of them are idle and have received all.
func (w *world) counted() (open, idle int) {
	s := &w.limits.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if c.idle && !c.pending() {
			idle++
		}
	}
	return len(s.all), idle
}

func (w *world) until(what string, reached func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal(what)
		}
	}
}

// idle makes so many idle connections of an address.
func (w *world) idle(n, times int) (all []net.Conn) {
	w.t.Helper()
	for range times {
		_, before := w.counted()
		c := w.dial(n)
		w.wantFine(c, "an idle one")
		w.until("it is not idle", func() bool { _, now := w.counted(); return now > before })
		all = append(all, c)
	}
	return all
}

// TestTLS: what is beneath TLS is known to wait for a request.
func TestTLS(t *testing.T) {
	w := &world{t: t, limits: limits(t, &Config{})}
	s := httptest.NewUnstartedServer(ok)
	s.Listener = w.limits.Listener(s.Listener)
	w.limits.Protect(s.Config)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "fine" || res.ProtoMajor != 2 {
		t.Errorf("%q, %v by %s", body, err, res.Proto)
	}
	w.until("it is not idle", func() bool { open, idle := w.counted(); return open == 1 && idle == 1 })
}

// TestConnectionsOfOneAddress: one address has not all of them.
func TestConnectionsOfOneAddress(t *testing.T) {
	w := newWorld(t, &Config{PerAddress: 2})
	held := w.idle(1, 2)
	if got := get(w.dial(1)); got != "" {
		t.Errorf("the third got %q", got)
	}
	held[0].Close()
	w.until("after one has gone, there is no other", func() bool { return strings.HasSuffix(get(w.dial(1)), "fine") })
}

// TestIdleGoFirst: who holds all connections idle keeps nobody out, and loses the longest idle; who has few keeps them.
func TestIdleGoFirst(t *testing.T) {
	w := newWorld(t, &Config{Connections: 6, PerAddress: 100})
	few, many := w.idle(2, 1), w.idle(1, 5)
	w.wantFine(w.dial(3), "another address")
	if got := read(many[0], time.Minute); got != "" {
		t.Errorf("the longest idle got %q", got)
	}
	w.wantFine(few[0], "who has one")
	for _, c := range many[1:] {
		w.wantFine(c, "one that is idle for less long")
	}
	if open, _ := w.counted(); open != 6 {
		t.Errorf("%d connections", open)
	}
}

// TestIdleGoBeforeOthers: an answer is not broken off for what an idle connection can give.
func TestIdleGoBeforeOthers(t *testing.T) {
	w := newWorld(t, &Config{Connections: 6, PerAddress: 100})
	var atWork []net.Conn
	for range 3 {
		atWork = append(atWork, w.dial(1))
		w.ask(atWork[len(atWork)-1], "/wait")
	}
	idle := w.idle(2, 3)
	for n := range 3 {
		w.ask(w.dial(3+n), "/wait")
		if got := read(idle[n], time.Minute); got != "" {
			t.Errorf("the idle one got %q", got)
		}
	}
	w.let()
	for _, c := range atWork {
		if got := read(c, time.Minute); !strings.HasSuffix(got, "fine") {
			t.Errorf("who was at work got %q", got)
		}
	}
}

// TestSlowReadersOfFewAddresses: they have all connections, at work on answers that they do not read, and others get as many
// as they have all the same.
func TestSlowReadersOfFewAddresses(t *testing.T) {
	w := newWorld(t, &Config{Connections: 8, PerAddress: 4})
	for n := range 8 {
		w.ask(w.dial(1+n/4), "/slow")
	}
	others := []net.Conn{w.dial(3), w.dial(4)}
	for i, c := range others {
		w.wantFine(c, fmt.Sprintf("other address %d", i))
	}
	w.ask(w.dial(3), "/wait")
	w.ask(w.dial(4), "/wait")
	for range 20 { // they come again and again, and there is nothing but what others are at work on
		if c := w.dial(1); true {
			send(c, "/slow")
		}
	}
	w.wantFine(w.dial(5), "another address after that")
	if open, _ := w.counted(); open > 8 {
		t.Errorf("%d connections", open)
	}
	s := &w.limits.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	for site, n := range s.of {
		if n > 4 && site.IsSingleIP() {
			t.Errorf("%v has %d", site, n)
		}
	}
}

// TestWaiting: where nobody has more than another, and all are at work, a new one waits until one is not.
func TestWaiting(t *testing.T) {
	for name, end := range map[string]func(w *world, first net.Conn){
		"gone": func(_ *world, first net.Conn) { first.Close() }, "idle": func(w *world, _ net.Conn) { w.let() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &Config{Connections: 2, PerAddress: 100})
			first := w.dial(1)
			w.ask(first, "/wait")
			w.ask(w.dial(2), "/slow")
			third := w.dial(3)
			send(third, "/checkpoint")
			if got := read(third, 300*time.Millisecond); got != "" {
				t.Errorf("the third got %q", got)
			}
			end(w, first)
			if name == "gone" {
				w.let() // a handler does not look whether its client is there
			}
			if got := read(third, time.Minute); !strings.HasSuffix(got, "fine") {
				t.Errorf("after one has gone: %q", got)
			}
		})
	}
}

// TestCloseWhileOneWaits: a server that is told to end does not wait for room.
func TestCloseWhileOneWaits(t *testing.T) {
	w := newWorld(t, &Config{Connections: 1})
	w.ask(w.dial(1), "/wait")
	send(w.dial(2), "/checkpoint")
	w.until("it does not wait", func() bool {
		w.limits.slots.mu.Lock()
		defer w.limits.slots.mu.Unlock()
		return w.limits.slots.of[netip.MustParsePrefix("127.0.0.2/32")] == 1
	})
	_ = w.ln.Close()
	select {
	case <-w.done:
	case <-time.After(time.Minute):
		t.Error("it waits")
	}
}

// TestReadersBehindAProxy: a proxy may have all connections, and who asks through it has them while he asks: not more than
// one address may, and they are closed for others as if they were his own.
func TestReadersBehindAProxy(t *testing.T) {
	t.Run("counted", func(t *testing.T) { readersBehindAProxy(t, (*Limits).Protect) })
	t.Run("lent", func(t *testing.T) {
		readersBehindAProxy(t, func(l *Limits, s *http.Server) { s.Handler = l.Lend(s.Handler); l.Watch(s) })
	})
}

func readersBehindAProxy(t *testing.T, protect func(*Limits, *http.Server)) {
	t.Helper()
	w := newWorldOf(t, &Config{Connections: 6, PerAddress: 3, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, protect)
	greedy := "198.51.100.1"
	for range 3 {
		w.ask(w.dial(1), "/slow", greedy)
	}
	fourth := w.dial(1)
	send(fourth, "/checkpoint", greedy)
	if got := read(fourth, time.Minute); !strings.Contains(got, " 429 ") || !strings.Contains(got, "Retry-After: 1\r\n") || !strings.Contains(got, "no-store") {
		t.Errorf("the fourth got %q", got)
	}
	send(fourth, "/checkpoint", "198.51.100.2")
	if got := read(fourth, time.Minute); !strings.HasSuffix(got, "fine") {
		t.Errorf("another reader got %q", got)
	}
	w.ask(fourth, "/wait", "198.51.100.2")
	w.ask(w.dial(1), "/wait", "198.51.100.3")
	w.ask(w.dial(2), "/wait")
	w.wantFine(w.dial(3), "another address") // in the place of one of three
	last := w.dial(1)
	send(last, "/checkpoint", "198.51.100.4")
	if got := read(last, time.Minute); !strings.HasSuffix(got, "fine") {
		t.Errorf("another reader through the proxy got %q", got)
	}
	w.let()
	for _, n := range []string{"198.51.100.2", "198.51.100.3", "198.51.100.4"} {
		w.until("who asked has it still", func() bool {
			w.limits.slots.mu.Lock()
			defer w.limits.slots.mu.Unlock()
			return w.limits.slots.of[netip.MustParsePrefix(n+"/32")] == 0
		})
	}
}

// far is a connection of somebody's whose network is not here.
type far struct {
	net.Conn
	from string
}

func (f far) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.from), 1000))
}
func (far) Close() error { return nil }

// TestConnectionsOfNetworks: a network has not as many as all the networks of 64 bits in it.
func TestConnectionsOfNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		want    int
	}{
		"64 bits": {"2001:db8:0:1::%x", 3}, "56 bits": {"2001:db8:0:1%02x::1", 12}, "48 bits": {"2001:db8:0:%02x00::1", 24},
		"32 bits": {"2001:db8:%x::1", 192}, "24 bits of IPv4": {"192.0.2.%d", 96},
	} {
		l := limits(t, &Config{Connections: 1000, PerAddress: 3})
		ln := &listener{limits: l}
		var all []*connection
		for i := range 1024 {
			if c, _ := ln.enter(far{from: fmt.Sprintf(c.address, i%256)}); c != nil {
				all = append(all, c)
			}
		}
		if len(all) != c.want {
			t.Errorf("a network of %s has %d, want %d", name, len(all), c.want)
		}
		for _, c := range all {
			_ = c.Close()
		}
		if len(l.slots.of) != 0 || len(l.slots.all) != 0 {
			t.Errorf("%v remain", l.slots.of)
		}
	}
}

// TestNetworksMakeRoom: who has many addresses is seen as one who has much, and makes room.
func TestNetworksMakeRoom(t *testing.T) {
	for _, many := range []string{"2001:db8:1:%x00::1", "2001:db8:%x::1", "192.0.2.%d"} {
		l := limits(t, &Config{Connections: 128, PerAddress: 100})
		ln := &listener{limits: l}
		for i := range 128 {
			if i < 127 { // each address has one, and all of them many
				ln.enter(far{from: fmt.Sprintf(many, i)})
			} else {
				ln.enter(far{from: "203.0.113.1"})
			}
		}
		c, victim := ln.enter(far{from: "198.51.100.1"})
		if c == nil || victim == nil || victim.RemoteAddr().String() == "203.0.113.1:1000" {
			t.Errorf("%s: %v in the place of %v", many, c, victim)
		}
	}
}

// TestFewIdle: who has one connection keeps it, idle, where few are idle: who has many makes room. Where enough are idle, no
// answer is broken off.
func TestFewIdle(t *testing.T) {
	for _, c := range []struct {
		idle, busy, had int // of as many addresses; of one; of the newcomer's address, at work too
		want            string
	}{
		{15, 100, 0, "work"}, {16, 100, 0, "idle"},
		{15, 40, 50, ""}, {16, 40, 50, "idle"}, {15, 60, 50, "work"},
		{1, 1, 0, "idle"}, {1, 1, 126, ""},
	} {
		l := limits(t, &Config{Connections: 128, PerAddress: 128})
		ln := &listener{limits: l}
		enter := func(from string) (one, victim *connection) { return ln.enter(far{from: from}) }
		for i := range 128 - c.busy - c.had {
			one, _ := enter(fmt.Sprintf("2001:%x::1", 0xa00+i))
			l.slots.mark(one, i < c.idle)
		}
		for range c.busy {
			enter("192.0.2.1")
		}
		for range c.had {
			enter("203.0.113.1")
		}
		got := ""
		if _, victim := enter("203.0.113.1"); victim != nil && victim.idle {
			got = "idle"
		} else if victim != nil {
			got = "work"
			if victim.cut.Load() != true {
				t.Errorf("%+v: it is not cut", c)
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

// without is a listener for which the system has no room at first.
type without struct {
	net.Listener
	first bool
}

func (w *without) Accept() (net.Conn, error) {
	if w.first {
		w.first = false
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return w.Listener.Accept()
}

// TestNoRoomInTheSystem: when the system has room for less than was asked for, connections are closed for others all the same.
func TestNoRoomInTheSystem(t *testing.T) {
	w := newWorld(t, &Config{})
	idle := w.idle(1, 2)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	more := w.limits.Listener(&without{ln, true})
	defer more.Close()
	if _, err := more.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	if got := read(idle[0], time.Minute); got != "" {
		t.Errorf("the longest idle got %q", got)
	}
	w.wantFine(idle[1], "the other")
}

// TestLendNothing: a handler without the listener is not bounded by it.
func TestLendNothing(t *testing.T) {
	l := limits(t, &Config{PerAddress: 1})
	for range 3 {
		if _, ok := l.lend(context.Background(), netip.MustParsePrefix("192.0.2.1/32")); !ok {
			t.Error("refused")
		}
	}
}
