package tour

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// An authority issues TLS certificates that every agent of the tour trusts. The
// man in the middle has one from it too.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

const certificateLife = 24 * time.Hour

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key: key, cert: cert, pool: pool}, nil
}

// issue makes a certificate for localhost with a key of its own.
func (a *authority) issue() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}

func (a *authority) serverConfig() (*tls.Config, error) {
	cert, err := a.issue()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
	}, nil
}

// A backend is the real server, on an address that no agent knows.
type backend struct {
	mux    *http.ServeMux
	server *http.Server
	ln     net.Listener
	done   chan error
}

func newBackend(a *authority) (*backend, error) {
	config, err := a.serverConfig()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{mux: http.NewServeMux(), ln: ln, done: make(chan error, 1)}
	b.server = &http.Server{Handler: b.mux, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second}
	go func() { b.done <- b.server.ServeTLS(ln, "", "") }()
	return b, nil
}

func (b *backend) addr() string { return b.ln.Addr().String() }

func (b *backend) close(ctx context.Context) error {
	err := b.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = b.server.Close()
	}
	if served := <-b.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// A front is the network between agents and the server: it holds the address
// that everybody knows. As a rule it carries octets. Taken over, it ends TLS
// with a certificate of the attacker's and relays every request.
type front struct {
	ln      net.Listener
	backend string

	mu    sync.Mutex
	relay *http.Server // nil as a rule
	fake  *handOver
	conns map[net.Conn]bool
}

func newFront(backend string) (*front, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{ln: ln, backend: backend, conns: map[net.Conn]bool{}}
	go f.serve()
	return f, nil
}

func (f *front) origin() string {
	return "https://localhost:" + strconv.Itoa(f.ln.Addr().(*net.TCPAddr).Port)
}

func (f *front) serve() {
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		fake := f.fake
		f.mu.Unlock()
		if fake != nil {
			select {
			case fake.conns <- conn:
			case <-fake.closed:
				conn.Close()
			}
			continue
		}
		go f.carry(conn)
	}
}

func (f *front) carry(conn net.Conn) {
	onward, err := net.Dial("tcp", f.backend)
	if err != nil {
		conn.Close()
		return
	}
	f.mu.Lock()
	f.conns[conn], f.conns[onward] = true, true
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, onward}, {onward, conn}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
	f.mu.Lock()
	delete(f.conns, conn)
	delete(f.conns, onward)
	f.mu.Unlock()
}

// takeOver puts a man in the middle on the wire, with a certificate for the
// server's name that agents trust, and cuts the connections there are.
func (f *front) takeOver(a *authority) error {
	config, err := a.serverConfig()
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "https", Host: f.backend}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // an attacker
	}
	server := &http.Server{Handler: proxy, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second}
	fake := &handOver{conns: make(chan net.Conn), closed: make(chan struct{}), addr: f.ln.Addr()}
	f.mu.Lock()
	f.relay, f.fake = server, fake
	f.mu.Unlock()
	f.cut()
	go func() { _ = server.ServeTLS(fake, "", "") }()
	return nil
}

// giveBack ends the attack.
func (f *front) giveBack() error {
	f.mu.Lock()
	relay := f.relay
	f.relay, f.fake = nil, nil
	f.mu.Unlock()
	if relay == nil {
		return nil
	}
	return relay.Close()
}

func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

func (f *front) close() error {
	err := errors.Join(f.ln.Close(), f.giveBack())
	f.cut()
	return err
}

// A handOver is a listener whose connections are handed to it.
type handOver struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	addr   net.Addr
}

func (h *handOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handOver) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handOver) Addr() net.Addr { return h.addr }
