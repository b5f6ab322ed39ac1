package readers

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How much is kept of what is sent and not received yet: the kernel's memory, not ours, but as little without end.
const writeBuffer = 256 << 10

// maxLooked is how many connections are looked at for one that can be closed. Who has many of them is among these.
const maxLooked = 128

// Of those that are looked at, one in enoughIdle has to be idle: else who has many makes room, and not who has few.
const enoughIdle = 8

// How often it is looked whether what was sent was received, and how long that may take when a connection is closed.
const (
	pendingPoll = 100 * time.Millisecond
	pendingTime = time.Minute
)

// slots are the connections that there are.
type slots struct {
	mu       sync.Mutex
	changed  sync.Cond // one has left, or may be closed
	all      map[*connection]struct{}
	of       map[netip.Prefix]int // of an address, and of the networks that it is in
	turn     uint64               // counts what happens
	refused  uint64               // since one address had too many
	evicted  uint64               // to have room for another
	patience time.Duration        // pendingTime
}

func (s *slots) init() {
	s.changed.L, s.patience = &s.mu, pendingTime
	s.all, s.of = make(map[*connection]struct{}), make(map[netip.Prefix]int)
}

// Protect has the server that serves on l's Listener count what is asked for, and who asks for how long. Its Handler is
// bounded as by [Limits.Handler].
func (l *Limits) Protect(server *http.Server) {
	server.Handler = l.Handler(server.Handler)
	l.Watch(server)
}

// Watch has the server that serves on l's Listener, by TLS as well, say which connections are at work. Its Handler is
// bounded by [Limits.Handler] where it answers readers.
func (l *Limits) Watch(server *http.Server) {
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, beneath(conn))
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if c := beneath(conn); c != nil {
			l.slots.mark(c, state == http.StateIdle)
		}
	}
}

// beneath is what the Listener accepted, nil for what it did not.
func beneath(conn net.Conn) *connection {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, _ := conn.(*connection)
	return c
}

type connectionKey struct{}

// Listener accepts as many connections as there may be at a time. What one address has too many of is closed at once. For
// others there is room: an idle connection is closed, the longest of who has most, or one of somebody who has more than
// the new one's. Where nobody has, the new one waits. Who has yet to receive what was sent is not idle.
func (l *Limits) Listener(ln net.Listener) net.Listener { return &listener{Listener: ln, limits: l} }

type listener struct {
	net.Listener
	limits *Limits
	closed bool // under the lock of slots
}

func (ln *listener) Accept() (net.Conn, error) {
	for {
		conn, err := ln.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				ln.limits.slots.shed()
			}
			return nil, err // net/http tries again
		}
		c, victim := ln.enter(conn)
		if victim != nil {
			victim.giveWay()
		}
		if c != nil {
			return c, nil
		}
		_ = conn.Close() // nothing was sent on it
	}
}

func (ln *listener) Close() error {
	s := &ln.limits.slots
	s.mu.Lock()
	ln.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	return ln.Listener.Close()
}

// enter counts a connection, unless c is nil. The victim is no longer counted, and is to be closed.
func (ln *listener) enter(conn net.Conn) (c, victim *connection) {
	l, s := ln.limits, &ln.limits.slots
	addr := addressOf(conn.RemoteAddr().String())
	c = &connection{Conn: conn, slots: s, proxy: l.connects(addr)}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(writeBuffer) // else it is as the system has it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.proxy && !s.own(c, site(addr), l.cfg.PerAddress) {
		return nil, nil
	}
	for len(s.all) >= l.cfg.Connections {
		if victim = s.evict(c.owner); victim != nil {
			break
		}
		if s.load(c.owner) > 1 || ln.closed {
			s.disown(c)
			s.refused++
			return nil, nil
		}
		look := time.AfterFunc(pendingPoll, s.wake) // nothing tells that what was sent is received
		s.changed.Wait()
		look.Stop()
	}
	s.turn++
	c.since = s.turn
	s.all[c] = struct{}{}
	return c, victim
}

// own has a connection be somebody's, if that has not too many.
func (s *slots) own(c *connection, owner netip.Prefix, most int) bool {
	for network, times := range networks(owner) {
		if s.of[network] >= most*times {
			s.refused++
			return false
		}
	}
	for network := range networks(owner) {
		s.of[network]++
	}
	c.owner, c.owned = owner, true
	return true
}

func (s *slots) disown(c *connection) {
	if !c.owned {
		return
	}
	for network := range networks(c.owner) {
		if s.of[network]--; s.of[network] == 0 {
			delete(s.of, network)
		}
	}
	c.owner, c.owned = netip.Prefix{}, false
}

// load is how many connections somebody has: of a network's, the share of what one may have.
func (s *slots) load(owner netip.Prefix) int {
	most := 0
	for network, times := range networks(owner) {
		most = max(most, (s.of[network]+times-1)/times)
	}
	return most
}

func (s *slots) pendingTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.patience
}

// shed closes what can be, when the system has no room for as many connections and files as were asked for.
func (s *slots) shed() {
	s.mu.Lock()
	victim := s.evict(netip.Prefix{})
	s.mu.Unlock()
	if victim != nil {
		victim.giveWay()
	}
}

// evict counts no longer what can be closed for somebody's sake, nil for nothing.
func (s *slots) evict(owner netip.Prefix) (victim *connection) {
	if victim = s.victim(max(1, s.load(owner))); victim != nil {
		if !victim.idle || victim.pending() {
			victim.cut.Store(true)
		}
		s.remove(victim)
		s.evicted++
	}
	return victim
}

func (s *slots) wake() {
	s.mu.Lock()
	s.changed.Broadcast()
	s.mu.Unlock()
}

// victim returns what can be closed for who has least with what is new: of those that are at work, only of who has more.
// Where few are idle, those of who has no more are left to them.
func (s *slots) victim(least int) *connection {
	var idle, work choice
	looked, idles := 0, 0
	for other := range s.all {
		if looked == maxLooked {
			break
		}
		looked++
		load := s.load(other.owner)
		if other.idle && !other.pending() {
			idles++
			idle.consider(other, load)
		} else if load > least {
			work.consider(other, load)
		}
	}
	if idle.connection == nil || idle.load <= least && idles*enoughIdle < looked && (work.connection != nil || idle.load < least && least > 1) {
		return work.connection
	}
	return idle.connection
}

// A choice is the longest of who has most.
type choice struct {
	*connection
	load int
}

func (c *choice) consider(other *connection, load int) {
	if c.connection == nil || load > c.load || load == c.load && other.since < c.since {
		c.connection, c.load = other, load
	}
}

// mark notes that a connection has a request now, or waits for one.
func (s *slots) mark(c *connection, idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	c.since = s.turn
	if c.idle = idle; idle {
		s.changed.Broadcast()
	}
}

// lend has a proxy's connection be that of the reader for whom it asks, until it is given back; ok is false if the reader
// has too many.
func (l *Limits) lend(ctx context.Context, owner netip.Prefix) (back func(), ok bool) {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	if c == nil || !c.proxy {
		return func() {}, true
	}
	s := &l.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.all[c]; there && !s.own(c, owner, l.cfg.PerAddress) {
		return nil, false
	}
	s.changed.Broadcast()
	return func() {
		s.mu.Lock()
		s.disown(c)
		s.mu.Unlock()
	}, true
}

func (s *slots) leave(c *connection) {
	s.mu.Lock()
	s.remove(c)
	s.mu.Unlock()
}

func (s *slots) remove(c *connection) {
	if _, there := s.all[c]; there {
		delete(s.all, c)
		s.disown(c)
		s.changed.Broadcast()
	}
}

// A connection is one of a reader, or of a proxy: then it is lent to readers, and nobody's otherwise.
type connection struct {
	net.Conn
	slots *slots
	proxy bool

	// What follows is under the lock of slots.
	owner netip.Prefix
	owned bool
	idle  bool
	since uint64 // turn at which it began to be idle, or to work
	ended bool   // closed by who served it

	cut atomic.Bool // what was not received is forgotten
}

// Write forgets what cannot be sent any more. Else the system keeps it for minutes for who does not read it.
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		c.cut.Store(true)
		c.forget()
	}
	return n, err
}

func (c *connection) forget() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// giveWay closes a connection that another one is in the place of already. One that was idle has received all, and is told
// that there is no more.
func (c *connection) giveWay() {
	if c.cut.Load() {
		c.forget()
	}
	_ = c.Conn.Close()
}

// Close closes it when what was sent is received, and it is counted for so long: else who does not read had the system keep
// as much as he likes. The second one closes it at once.
func (c *connection) Close() error {
	if c.end() {
		go c.drain()
		return nil
	}
	err := c.Conn.Close()
	c.slots.leave(c)
	return err
}

// end sends no more than what is sent already, and reports whether there is some.
func (c *connection) end() bool {
	s := c.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp, ok := c.Conn.(*net.TCPConn)
	if _, there := s.all[c]; !ok || !there || c.ended || c.cut.Load() || !c.pending() {
		return false
	}
	c.ended, c.idle = true, false
	// Who reads or writes still ends with that.
	return tcp.SetDeadline(time.Now()) == nil && tcp.CloseWrite() == nil
}

func (c *connection) drain() {
	for since := time.Now(); c.pending(); time.Sleep(pendingPoll) {
		if time.Since(since) > c.slots.pendingTime() {
			c.forget()
			break
		}
	}
	_ = c.Close()
}
