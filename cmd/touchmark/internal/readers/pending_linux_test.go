package readers

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slow asks for what is answered at once, and not received before it is read.
func (w *world) slow(n int, header ...string) net.Conn {
	w.t.Helper()
	c := w.dial(n, func(_, _ string, raw syscall.RawConn) (err error) {
		set := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, large/8) })
		return errors.Join(set, err)
	})
	io.WriteString(c, "GET /large HTTP/1.1\r\nHost: a\r\n"+strings.Join(header, "")+"\r\n") //nolint:errcheck // the answer says it
	return c
}

// held are the connections whose answer was given, and not received.
func (w *world) held() (n int) {
	s := &w.limits.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if (c.idle || c.ended) && c.pending() {
			n++
		}
	}
	return n
}

// ended reports whether there is one that was closed.
func (w *world) ended() bool {
	s := &w.limits.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if c.ended {
			return true
		}
	}
	return false
}

// received reads an answer, and returns how much of the body there was.
func received(t *testing.T, c net.Conn) (int64, error) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}

// TestAnswerThatIsNotReceived: whose answer is given, but under way still, is not idle. Who has more makes no room of it,
// and who has as many waits until it is received.
func TestAnswerThatIsNotReceived(t *testing.T) {
	w := newWorld(t, &Config{Connections: 2})
	honest := w.slow(1)
	w.until("it is not answered", func() bool { return w.held() == 1 })
	w.ask(w.dial(2), "/wait")
	second := w.dial(2)
	send(second, "/checkpoint")
	if got := read(second, time.Minute); got != "" {
		t.Errorf("who has one already got %q", got)
	}
	third := w.dial(3)
	send(third, "/checkpoint")
	if got := read(third, 300*time.Millisecond); got != "" {
		t.Errorf("who has none got %q", got)
	}
	if n, err := received(t, honest); n != large || err != nil {
		t.Errorf("the honest one received %d of %d bytes: %v", n, large, err)
	}
	if got := read(third, time.Minute); !strings.HasSuffix(got, "fine") {
		t.Errorf("after that: %q", got)
	}
	if n, err := honest.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("whose place it has read %d bytes, %v", n, err)
	}
}

// TestManyAnswersThatAreNotReceived: who holds places with answers that he does not read gives them to others, and the
// system keeps nothing of it.
func TestManyAnswersThatAreNotReceived(t *testing.T) {
	w := newWorld(t, &Config{Connections: 4})
	var hostile []net.Conn
	for n := range 4 {
		hostile = append(hostile, w.slow(1))
		w.until("it is not answered", func() bool { return w.held() == n+1 })
	}
	w.ask(w.dial(2), "/wait")
	w.ask(w.dial(3), "/wait")
	if n := w.held(); n != 2 {
		t.Errorf("%d are held", n)
	}
	for i, c := range hostile {
		if n, err := received(t, c); (n == large) != (i >= 2) {
			t.Errorf("the hostile one's %d received %d bytes, %v", i, n, err)
		}
	}
}

// TestCloseBeforeItIsReceived: a connection that is closed after its answer is counted until that is received.
func TestCloseBeforeItIsReceived(t *testing.T) {
	w := newWorld(t, &Config{Connections: 3})
	c := w.slow(1, "Connection: close\r\n")
	w.until("it is not closed, or not counted", w.ended)
	if n, err := received(t, c); n != large || err != nil {
		t.Errorf("received %d of %d bytes: %v", n, large, err)
	}
	w.until("it is counted still", func() bool { open, _ := w.counted(); return open == 0 })

	// Another has its place when there is none.
	c = w.slow(1, "Connection: close\r\n")
	w.until("it is not closed, or not counted", w.ended)
	w.ask(w.dial(1), "/wait")
	w.ask(w.dial(1), "/wait")
	w.wantFine(w.dial(2), "another")
	if n, err := received(t, c); err == nil {
		t.Errorf("whose place it has received %d bytes", n)
	}
}

// TestNeverReceived: what is not received for too long is forgotten, though nobody needs the place.
func TestNeverReceived(t *testing.T) {
	w := newWorld(t, &Config{})
	c := w.slow(1, "Connection: close\r\n")
	w.until("it is not closed, or not counted", w.ended)
	w.limits.slots.mu.Lock()
	w.limits.slots.patience = 0
	w.limits.slots.mu.Unlock()
	w.until("it is counted still", func() bool { open, _ := w.counted(); return open == 0 })
	if n, err := received(t, c); err == nil {
		t.Errorf("received %d bytes", n)
	}
}
