// Package readers protects a server that anybody may read: it bounds how often one address asks and how many connections
// there are, and counts what came of it. Use [New], then Protect a server and have it serve on the Listener.
package readers

import (
	"errors"
	"iter"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Defaults of a [Config].
const (
	DefaultRate            = 100
	DefaultBurst           = 1000
	DefaultConnections     = 1024
	DefaultPerAddress      = 64
	maxForwarded           = 16 // addresses that are looked at in a header
	ipv6Site               = 64 // bits of what one reader has of IPv6
	headerForwarded        = "X-Forwarded-For"
	headerRetry            = "Retry-After"
	maxAddressesRemembered = 1 << 14 // of one generation, of which there are two
)

// A Config says what is too much. The zero value of a field is its default.
type Config struct {
	Rate  float64 // requests a second of one address
	Burst int     // requests at once

	Connections int // in all
	PerAddress  int // of one address; a proxy may have all, and as many for one address

	// Proxies are whose X-Forwarded-For is believed: nobody's by default.
	Proxies []netip.Prefix

	// BehindProxy says that every connection is a proxy's, whatever its address: nobody else reaches the server.
	BehindProxy bool

	Time func() time.Time // nil means time.Now
}

// Limits count readers. Make them with [New]; they are safe for concurrent use.
type Limits struct {
	cfg    Config
	rates  rates
	slots  slots
	counts counts
}

// New makes Limits. It refuses numbers below 0.
func New(cfg *Config) (*Limits, error) {
	l := &Limits{cfg: *cfg}
	c := &l.cfg
	if c.Rate < 0 || math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0) || c.Burst < 0 || c.Connections < 0 || c.PerAddress < 0 {
		return nil, errors.New("readers: a limit is below 0")
	}
	orElse(&c.Rate, DefaultRate)
	orElse(&c.Burst, DefaultBurst)
	orElse(&c.Connections, DefaultConnections)
	orElse(&c.PerAddress, DefaultPerAddress)
	if c.Time == nil {
		c.Time = time.Now
	}
	l.slots.init()
	return l, nil
}

func orElse[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Handler answers 429 with Retry-After to addresses that ask too often, and has next answer the others.
func (l *Limits) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted := &counter{ResponseWriter: w}
		defer l.counts.add(r, counted)
		from := l.address(r)
		if wait := l.rates.take(&l.cfg, from); wait > 0 {
			tooMany(counted, wait)
			return
		}
		back, ok := l.lend(r.Context(), from)
		if !ok {
			tooMany(counted, time.Second)
			return
		}
		defer back()
		next.ServeHTTP(counted, r)
	})
}

// Lend has next answer however often somebody asks, and a proxy's connection be for so long that of the reader for whom it
// asks, as [Limits.Handler] has it.
func (l *Limits) Lend(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		back, ok := l.lend(r.Context(), l.address(r))
		if !ok {
			tooMany(w, time.Second)
			return
		}
		defer back()
		next.ServeHTTP(w, r)
	})
}

func tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set(headerRetry, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "too many requests", http.StatusTooManyRequests)
}

// address is whose request it is: of the connection, or where that is a proxy's, of the last address in front of it
// that is not.
func (l *Limits) address(r *http.Request) netip.Prefix {
	addr := addressOf(r.RemoteAddr)
	if !l.connects(addr) {
		return site(addr)
	}
	list := strings.Split(strings.Join(r.Header.Values(headerForwarded), ","), ",")
	for i := len(list) - 1; i >= max(0, len(list)-maxForwarded); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(list[i]))
		if err != nil {
			break // who wrote this is not believed about what stands before it
		}
		if addr = next.Unmap(); !l.proxy(addr) {
			break
		}
	}
	return site(addr)
}

// connects reports whether a connection from an address is a proxy's.
func (l *Limits) connects(addr netip.Addr) bool { return l.cfg.BehindProxy || l.proxy(addr) }

// proxy reports whether an address is believed about others.
func (l *Limits) proxy(addr netip.Addr) bool {
	for _, p := range l.cfg.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// addressOf reads the address of a connection; the zero address is that of all that have none.
func addressOf(text string) netip.Addr {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// site is what is counted as one reader.
func site(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = ipv6Site
	}
	p, _ := addr.WithZone("").Prefix(bits) // the zero address has the zero prefix
	return p
}

// wider are the networks that are counted beside the address of one reader: who is given one of these may have times as
// much as one reader, and not as much as all the addresses in it. The widest are first.
var (
	widerOf4 = [...]wider{{24, 32}}
	widerOf6 = [...]wider{{32, 64}, {48, 8}, {ipv6Site - 8, 4}}
)

type wider struct{ bits, times int }

// networks returns what a site counts as, the widest network first, and how many times as much as one reader it may have.
func networks(site netip.Prefix) iter.Seq2[netip.Prefix, int] {
	all := widerOf6[:]
	if !site.Addr().Is6() {
		all = widerOf4[:]
	}
	return func(yield func(netip.Prefix, int) bool) {
		for _, w := range all {
			if p, err := site.Addr().Prefix(w.bits); err == nil && p.IsValid() && !yield(p, w.times) {
				return
			}
		}
		yield(site, 1)
	}
}
