//go:build linux

package serververify

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// socketDir returns a directory that is nobody else's, with a name short enough
// for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	if err := checkSocket(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return dir
}

// listenUnix serves the world's server on a socket, whose origin it adds to the
// identity's. change alters what the kernel says of the clients.
func (w *world) listenUnix(socket string, change func(*UnixPeer)) string {
	w.t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.identity.cfg.Origins = append(w.identity.cfg.Origins, "unix:"+socket)
	s := &http.Server{
		Handler: http.HandlerFunc(w.serve), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		ConnState: w.count,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			peer, err := peerOf(c)
			if err != nil {
				w.t.Error(err)
				return ctx
			}
			if change != nil {
				change(peer)
			}
			return WithUnixPeer(ctx, *peer, socket)
		},
	}
	go s.Serve(l)
	w.t.Cleanup(func() { s.Close() })
	return "unix:" + socket
}

func TestUnixSocket(t *testing.T) {
	w := newWorld(t, option{})
	endpoint := w.listenUnix(filepath.Join(socketDir(t), "mcp.sock"), nil) + ":/mcp"
	v := w.verifier()
	srv, err := v.Verify(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if srv.State != StateVerified || srv.Binding != BindingUnix || srv.Endpoint != endpoint ||
		srv.Peer == nil || srv.Peer.PID != os.Getpid() || int(srv.Peer.UID) != os.Geteuid() || srv.Certificate != nil || srv.DID != w.agent.DID {
		t.Errorf("got %+v", srv)
	}
	for _, client := range []*http.Client{srv.Client(), v.Client()} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", endpoint+"?x=1", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		drain(t, resp, err)
		if resp.Request != req {
			t.Error("the response is that of another request")
		}
		seen := w.requests()
		if last := seen[len(seen)-1]; last.URL.Path != "/mcp" || last.URL.RawQuery != "x=1" || last.Host != "localhost" {
			t.Errorf("saw %s %s", last.Host, last.URL)
		}
		for _, other := range []string{w.url("/mcp"), "unix:/run/other.sock:/mcp", "http://localhost/mcp", "unix://x" + strings.TrimPrefix(endpoint, "unix:")} {
			if resp, err := client.Get(other); err == nil && other != w.url("/mcp") {
				resp.Body.Close()
				t.Errorf("%s was reached", other)
			}
		}
		req, _ = http.NewRequest("GET", endpoint, nil)
		req.Host = "evil.example"
		if _, err := client.Do(req); err == nil {
			t.Error("another Host field was sent")
		}
	}
	// The challenge is made again on each connection, and when it has aged.
	before := w.again()
	srv.Client().CloseIdleConnections()
	resp, err := srv.Client().Get(endpoint)
	drain(t, resp, err)
	w.advance(2 * time.Minute)
	w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain))
	w.advance(4 * time.Minute)
	w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain))
	resp, err = srv.Client().Get(endpoint)
	drain(t, resp, err)
	if n := w.again() - before; n > 1 {
		t.Errorf("%d challenges on connections that had one, want 1", n)
	}
}

// The proof names the client as the server's kernel sees it, and the path: one
// that was made for another client, or at another socket, is worth nothing.
func TestUnixPeerIsBound(t *testing.T) {
	for name, change := range map[string]func(*UnixPeer){
		"another process": func(p *UnixPeer) { p.PID++ },
		"another user":    func(p *UnixPeer) { p.UID++ },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, option{})
			_, err := w.verifier().Verify(t.Context(), w.listenUnix(filepath.Join(socketDir(t), "s"), change))
			if refused := wantRefusal(t, err, CodePoPFailed, StateDeclared); !strings.Contains(refused.Reason, "another connection") {
				t.Errorf("refused: %v", err)
			}
		})
	}
	t.Run("unknown process", func(t *testing.T) {
		w := newWorld(t, option{})
		_, err := w.verifier().Verify(t.Context(), w.listenUnix(filepath.Join(socketDir(t), "s"), func(p *UnixPeer) { p.PID = 0 }))
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
		w.told(t.Name(), "pid namespace")
	})
	t.Run("a path that the server does not have", func(t *testing.T) {
		w := newWorld(t, option{})
		endpoint := w.listenUnix(filepath.Join(socketDir(t), "s"), nil)
		w.identity.cfg.Origins = w.identity.cfg.Origins[:1]
		_, err := w.verifier().Verify(t.Context(), endpoint)
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
		w.told(t.Name(), "not among the Origins")
	})
	t.Run("no peer", func(t *testing.T) {
		w := newWorld(t, option{})
		w.intercept(func(w *world, rw http.ResponseWriter, r *http.Request) bool {
			w.identity.Handler(nil).ServeHTTP(rw, r.WithContext(context.WithoutCancel(t.Context())))
			return true
		})
		_, err := w.verifier().Verify(t.Context(), w.listenUnix(filepath.Join(socketDir(t), "s"), nil))
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
		w.told(t.Name(), "without TLS")
	})
}

// Somebody who listens at the socket and passes everything on to the server's
// own is another client to that server.
func TestUnixRelay(t *testing.T) {
	if os.Getenv("TOUCHMARK_TEST_RELAY") != "" {
		relayProcess()
		return
	}
	w := newWorld(t, option{})
	dir := socketDir(t)
	w.listenUnix(filepath.Join(dir, "real.sock"), nil)
	// The server is known by the name of the relay's socket: only the process differs.
	w.identity.cfg.Origins = append(w.identity.cfg.Origins, "unix:"+filepath.Join(dir, "relay.sock"))
	startRelay(t, dir, nil)
	_, err := w.verifier().Verify(t.Context(), "unix:"+filepath.Join(dir, "relay.sock"))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	if n := len(w.requests()); n != 1 {
		t.Errorf("%d requests reached the server, want the challenge", n)
	}
}

// startRelay runs the relay of dir in a process of its own.
func startRelay(t *testing.T, dir string, as *syscall.Credential) {
	t.Helper()
	program := os.Args[0]
	if as != nil { // who cannot read where the test program is
		data, err := os.ReadFile(program)
		must(t, err)
		program = filepath.Join(dir, "test")
		must(t, os.WriteFile(program, data, 0o755))
	}
	cmd := exec.Command(program, "-test.run=^TestUnixRelay$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TOUCHMARK_TEST_RELAY="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	if err := cmd.Start(); err != nil && as != nil {
		t.Skipf("the test program cannot be run by another user: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal("the relay does not listen")
	}
}

// relayProcess relays one socket to another until its standard input ends.
func relayProcess() {
	dir := os.Getenv("TOUCHMARK_TEST_RELAY")
	l, err := net.Listen("unix", filepath.Join(dir, "relay.sock"))
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("\n") // it listens
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", filepath.Join(dir, "real.sock"))
			if err != nil {
				os.Exit(1)
			}
			go func() { io.Copy(to, from) }()
			go func() { io.Copy(from, to) }()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// What the client looks at before it says anything.
func TestUnixSocketIsChecked(t *testing.T) {
	type place struct{ dir, socket string }
	for _, tt := range []struct {
		name string
		set  func(t *testing.T, p *place)
		want string
	}{
		{"world-writable directory", func(t *testing.T, p *place) { must(t, os.Chmod(p.dir, 0o777)) }, "others may write"},
		{"group-writable directory", func(t *testing.T, p *place) { must(t, os.Chmod(p.dir, 0o770)) }, "others may write"},
		{"world-writable directory above", func(t *testing.T, p *place) {
			must(t, os.Chmod(filepath.Dir(p.dir), 0o777))
		}, "others may write"},
		{"symbolic link", func(t *testing.T, p *place) {
			link := filepath.Join(p.dir, "link")
			must(t, os.Symlink(p.socket, link))
			p.socket = link
		}, "no socket"},
		{"linked directory", func(t *testing.T, p *place) {
			link := p.dir + "l"
			must(t, os.Symlink(p.dir, link))
			p.socket = filepath.Join(link, "s")
		}, "no directory"},
		{"a file", func(t *testing.T, p *place) {
			p.socket = filepath.Join(p.dir, "file")
			must(t, os.WriteFile(p.socket, nil, 0o600))
		}, "no socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, option{})
			dir := filepath.Join(socketDir(t), "d")
			must(t, os.Mkdir(dir, 0o700))
			p := &place{dir, filepath.Join(dir, "s")}
			w.listenUnix(p.socket, nil)
			tt.set(t, p)
			_, err := w.verifier().Verify(t.Context(), "unix:"+p.socket)
			if refused := wantRefusal(t, err, CodeDomainMismatch, StateUnverified); !strings.Contains(refused.Reason, tt.want) {
				t.Errorf("refused: %v", err)
			}
			if len(w.requests()) != 0 {
				t.Error("something was sent")
			}
		})
	}
	// A directory where each may only remove his own, as /tmp is, will do.
	w := newWorld(t, option{})
	dir := socketDir(t)
	must(t, os.Chmod(dir, 0o777|os.ModeSticky))
	if _, err := w.verifier().Verify(t.Context(), w.listenUnix(filepath.Join(dir, "s"), nil)); err != nil {
		t.Error(err)
	}
	_, err := w.verifier().Verify(t.Context(), "unix:"+filepath.Join(dir, "none"))
	wantUndetermined(t, err, "")
}

// Whose server it is, is the client's to say; its own user's unless it does.
func TestUnixOtherUser(t *testing.T) {
	w := newWorld(t, option{})
	endpoint := w.listenUnix(filepath.Join(socketDir(t), "s"), nil)
	_, err := w.verifier(func(c *Config) { c.UnixPeers = []uint32{uint32(os.Geteuid()) + 1} }).Verify(t.Context(), endpoint)
	if refused := wantRefusal(t, err, CodeDomainMismatch, StateUnverified); !strings.Contains(refused.Reason, "listens on the socket") {
		t.Errorf("refused: %v", err)
	}
	if len(w.requests()) != 0 {
		t.Error("something was sent")
	}
}

// A server that runs as somebody else, on a socket of its own.
func TestUnixServerOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to start a process of another user")
	}
	const uid = 65534
	dir := socketDir(t)
	must(t, os.Chown(dir, uid, uid))
	startRelay(t, dir, &syscall.Credential{Uid: uid, Gid: uid})
	socket := filepath.Join(dir, "relay.sock")
	w := newWorld(t, option{})
	_, err := w.verifier().Verify(t.Context(), "unix:"+socket)
	if refused := wantRefusal(t, err, CodeDomainMismatch, StateUnverified); !strings.Contains(refused.Reason, "belongs to user 65534") {
		t.Errorf("refused: %v", err)
	}
	_, peer, err := dialUnix(t.Context(), socket, []uint32{uid})
	if err != nil || peer.UID != uid {
		t.Errorf("peer %+v, %v", peer, err)
	}
}

func TestUnixEndpoints(t *testing.T) {
	v := newWorld(t, option{}).verifier()
	for text, want := range map[string]string{
		"unix:/run/mcp.sock": "/", "unix:/run/mcp.sock:/mcp": "/mcp", "unix:/run/mcp.sock:/a/b?x=1": "/a/b",
	} {
		e, err := v.parseEndpoint(text)
		if err != nil || e.origin.String() != "unix:/run/mcp.sock" || e.path != want {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
	for _, text := range []string{
		"unix:", "unix:/", "unix:run/mcp.sock", "unix://run/mcp.sock", "unix:///run/mcp.sock", "unix:/run//mcp.sock", "unix:/run/../mcp.sock", "unix:/run/mcp.sock/",
		"unix:/run/mcp.sock:", "unix:/run/mcp.sock:mcp", "unix:/run/m%63p.sock", "unix:/run/m cp.sock", "unix:/run/mcp.sock#x", "unix:@abstract", "unix:/" + strings.Repeat("x", 107),
	} {
		if e, err := v.parseEndpoint(text); err == nil {
			t.Errorf("%s: read as %+v", text, e)
		}
		if _, err := parseOrigin(text); err == nil {
			t.Errorf("%s: an origin", text)
		}
	}
	if _, err := parseOrigin("unix:/run/mcp.sock:/mcp"); err == nil {
		t.Error("an origin with a path")
	}
}

// A did:web has no place at a socket: what binds it is its key, its badge and
// the socket. Its path is not that of requests.
func TestUnixWithPathDID(t *testing.T) {
	w := newWorld(t, option{path: []string{"mcp", "fs"}})
	endpoint := w.listenUnix(filepath.Join(socketDir(t), "s"), nil)
	srv, err := w.verifier().Verify(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Get(endpoint + ":/anything")
	drain(t, resp, err)
	if got := did.MustParse(resp.Header.Get(mcpwire.HeaderServerDID)); got != srv.DID {
		t.Errorf("the response is of %q", got)
	}
}
