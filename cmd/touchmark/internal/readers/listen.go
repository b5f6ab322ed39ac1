package readers

import (
	"net"
	"net/netip"
	"sync"
)

// slots are the connections that there are.
type slots struct {
	free chan struct{} // has as many as there may be more

	mu      sync.Mutex
	of      map[netip.Prefix]int
	refused uint64 // since one address had too many
}

func (s *slots) init(c *Config) {
	s.free = make(chan struct{}, c.Connections)
	for range c.Connections {
		s.free <- struct{}{}
	}
	s.of = make(map[netip.Prefix]int)
}

// Listener accepts as many connections as there may be at a time; more wait. What one address has too many of is closed
// at once.
func (l *Limits) Listener(ln net.Listener) net.Listener {
	return &listener{Listener: ln, limits: l, closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	limits *Limits
	once   sync.Once
	closed chan struct{}
}

func (ln *listener) Accept() (net.Conn, error) {
	select {
	case <-ln.limits.slots.free:
	case <-ln.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := ln.Listener.Accept()
		if err != nil {
			ln.limits.slots.free <- struct{}{}
			return nil, err
		}
		if from, ok := ln.limits.enter(conn); ok {
			return &connection{Conn: conn, leave: func() { ln.limits.leave(from) }}, nil
		}
		_ = conn.Close() // nothing was sent on it
	}
}

func (ln *listener) Close() error {
	ln.once.Do(func() { close(ln.closed) })
	return ln.Listener.Close()
}

// enter counts a connection of an address, if that has not too many.
func (l *Limits) enter(conn net.Conn) (from netip.Prefix, ok bool) {
	addr := addressOf(conn.RemoteAddr().String())
	from = site(addr)
	s := &l.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[from] >= l.cfg.PerAddress && !l.proxy(addr) {
		s.refused++
		return from, false
	}
	s.of[from]++
	return from, true
}

func (l *Limits) leave(from netip.Prefix) {
	s := &l.slots
	s.mu.Lock()
	if s.of[from]--; s.of[from] == 0 {
		delete(s.of, from)
	}
	s.mu.Unlock()
	s.free <- struct{}{}
}

type connection struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *connection) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
