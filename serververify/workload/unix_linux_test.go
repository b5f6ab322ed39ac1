package workload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// The test binary is also a client, in a process of its own and with another uid.
const (
	envSocket = "WORKLOAD_TEST_SOCKET"
	envUID    = "WORKLOAD_TEST_SERVER_UID"
	envHandOn = "WORKLOAD_TEST_HAND_ON"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envSocket); path != "" {
		os.Exit(child(path))
	}
	os.Exit(m.Run())
}

// child asks the server who it is for it, or connects and hands the connection to a process that it leaves behind.
func child(path string) int {
	uid, err := strconv.ParseUint(os.Getenv(envUID), 10, 32)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv(envHandOn) != "" {
		return handOn(path)
	}
	c, err := workload.NewUnixClient(&workload.UnixDialConfig{Path: path, UIDs: []uint32{uint32(uid)}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	body, err := fetch(context.Background(), c)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(body)
	return 0
}

func handOn(path string) int {
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	f, err := conn.(*net.UnixConn).File()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// The heir waits for a line, then sends a request on the connection of its parent, which has ended by then.
	heir := exec.Command("/bin/sh", "-c", `read line; printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; cat <&3`)
	heir.Stdin, heir.Stdout, heir.ExtraFiles = os.Stdin, os.Stdout, []*os.File{f}
	if err := heir.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func fetch(ctx context.Context, c *http.Client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return "", err
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), errors.Join(err, res.Body.Close())
}

func tell(w http.ResponseWriter, r *http.Request) {
	p, err := workload.FromRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(p.Evidence())
}

// socketDir is a directory that other users can reach, and none but ours can write to.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "workload")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

type refusals struct {
	mu  sync.Mutex
	all []string
}

func (r *refusals) add(p serververify.UnixPeer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf("%d: %v", p.UID, err))
}

func (r *refusals) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.all, "\n")
}

func listen(t *testing.T, cfg *workload.UnixConfig) net.Listener {
	t.Helper()
	ln, err := workload.ListenUnix(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := workload.NewUnixServer(http.HandlerFunc(tell))
	go func() { _ = server.Serve(ln) }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return ln
}

// runAs runs the test binary as a client with another uid.
func runAs(t *testing.T, path string, uid uint32, env ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	exe := filepath.Join(socketDir(t), "client")
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, data, 0o755); err != nil { //nolint:gosec // another user has to run it
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append([]string{envSocket + "=" + path, envUID + "=" + strconv.Itoa(os.Geteuid())}, env...)
	cmd.Dir = "/"
	if int(uid) != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

const nobody = 65534

// TestUnixPeers: the kernel says who the peer is; another uid is refused unless it is listed.
func TestUnixPeers(t *testing.T) {
	own := uint32(os.Geteuid())
	path := filepath.Join(socketDir(t), "s.sock")
	listen(t, &workload.UnixConfig{Path: path})
	c, err := workload.NewUnixClient(&workload.UnixDialConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	text, err := fetch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var e workload.Evidence
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if e.Scheme != workload.SchemeUnix || e.Subject != fmt.Sprintf("uid:%d", own) || e.PID != os.Getpid() || *e.UID != own || *e.GID != uint32(os.Getegid()) {
		t.Errorf("the server saw %s", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}

	t.Run("another uid", func(t *testing.T) {
		if own != 0 {
			t.Skip("to be another user takes root")
		}
		refused := new(refusals)
		open := filepath.Join(socketDir(t), "open.sock")
		listen(t, &workload.UnixConfig{Path: open, UIDs: []uint32{own}, Mode: 0o666, Refused: refused.add})
		cmd, out := runAs(t, open, nobody)
		if err := cmd.Run(); err == nil {
			t.Errorf("it was served: %s", out)
		}
		const want = "65534: workload: uid 65534 with gid 65534 is not served on"
		for end := time.Now().Add(time.Minute); !strings.Contains(refused.text(), want) && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the connection is closed first
		}
		if !strings.Contains(refused.text(), want) {
			t.Errorf("refused were %q, want %q; the client says %s", refused.text(), want, out)
		}
		private, out := runAs(t, path, nobody)
		if err := private.Run(); err == nil || !strings.Contains(out.String(), "permission denied") {
			t.Errorf("a socket of mode 0600: %v: %s", err, out)
		}
	})
	t.Run("another uid that is listed", func(t *testing.T) {
		if own != 0 {
			t.Skip("to be another user takes root")
		}
		for name, cfg := range map[string]*workload.UnixConfig{"uid": {UIDs: []uint32{nobody}}, "gid": {GIDs: []uint32{nobody}}} {
			cfg.Path, cfg.Mode = filepath.Join(socketDir(t), name), 0o666
			listen(t, cfg)
			cmd, out := runAs(t, cfg.Path, nobody)
			if err := cmd.Run(); err != nil || !strings.Contains(out.String(), `"subject":"uid:65534"`) {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
	})
}

// TestUnixPeerEnded: a request that comes when the process that connected has ended is nobody's, for its pid may
// be another's by then.
func TestUnixPeerEnded(t *testing.T) {
	if !kernelHoldsPeers(t) {
		t.Skip("this kernel has no SO_PEERPIDFD")
	}
	path := filepath.Join(socketDir(t), "s.sock")
	listen(t, &workload.UnixConfig{Path: path})
	cmd, _ := runAs(t, path, uint32(os.Geteuid()), envHandOn+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = nil, nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Process.Wait(); err != nil { // and not cmd.Wait, which would close the pipes that the heir has
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer), "403 Forbidden") || !strings.Contains(string(answer), "which opened the connection, has ended") {
		t.Errorf("the heir was told %s", answer)
	}
}

func kernelHoldsPeers(t *testing.T) bool {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		_ = unix.Close(pidfd) // it was only to see
	}
	_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	return err == nil
}

// TestUnixPlaces: a server makes no socket where somebody else could put another, and no client believes one
// there.
func TestUnixPlaces(t *testing.T) {
	in := func(change func(dir string) (path string)) string { return change(socketDir(t)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, path, want string
		root             bool
	}{
		{"world-writable", in(func(d string) string { must(os.Chmod(d, 0o777)); return d + "/s" }), "is writable by others", false},
		{"group-writable", in(func(d string) string { must(os.Chmod(d, 0o770)); return d + "/s" }), "is writable by others", false},
		{"sticky", in(func(d string) string { must(os.Chmod(d, 0o777|os.ModeSticky)); return d + "/s" }), "is writable by others", false},
		{"above it world-writable", in(func(d string) string {
			must(os.Mkdir(d+"/in", 0o700))
			must(os.Chmod(d, 0o777))
			return d + "/in/s"
		}), "is writable by others", false},
		{"of another user", in(func(d string) string { _ = os.Chown(d, nobody, nobody); return d + "/s" }), "belongs to uid 65534", true},
		{"through a link", in(func(d string) string { must(os.Symlink(d, d+"/link")); return d + "/link/s" }), "without symbolic links", false},
		{"no directory above", "/nowhere/at/all/s", "no such file", false},
		{"a file", in(func(d string) string { must(os.WriteFile(d+"/s", nil, 0o600)); return d + "/s" }), "is no socket", false},
		{"relative", "s.sock", "not absolute and clean", false},
		{"not clean", "/tmp/../tmp/s.sock", "not absolute and clean", false},
		{"abstract", "@s", "not absolute and clean", false},
		{"long", "/tmp/" + strings.Repeat("s", 103), "has more than 107 bytes", false},
		{"in a long directory", "/tmp/" + strings.Repeat("s", 86) + "/s", "or its directory more than 90", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.root && os.Geteuid() != 0 {
				t.Skip("to give a directory away takes root")
			}
			ln, err := workload.ListenUnix(&workload.UnixConfig{Path: test.path})
			if err == nil {
				_ = ln.Close() // it should not be
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	for name, cfg := range map[string]*workload.UnixConfig{
		"no UnixConfig": nil, "is not one of a socket": {Path: "/tmp/s", Mode: 0o700}, "neither UIDs nor GIDs": {Path: "/tmp/s", Mode: 0o666},
	} {
		if _, err := workload.ListenUnix(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
}

// TestUnixClientPlaces: a client connects only where it knows who must have put the socket.
func TestUnixClientPlaces(t *testing.T) {
	dir := socketDir(t)
	path := dir + "/s"
	raw, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }() // nothing was said
	dial := func(path string, uids ...uint32) error {
		c, err := workload.DialUnix(t.Context(), &workload.UnixDialConfig{Path: path, UIDs: uids})
		if err == nil {
			_ = c.Close() // it was only to see
		}
		return err
	}
	refused := func(name, want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, want)
		}
	}
	if err := dial(path); err != nil {
		t.Errorf("a good place: %v", err)
	}
	if os.Geteuid() == 0 { // whose directories everybody trusts
		refused("a server of another user", "has uid 0, which is not expected there", dial(path, nobody))
		if err := os.Lchown(path, 1234, 1234); err != nil {
			t.Fatal(err)
		}
		refused("a socket of another user", "belongs to uid 1234", dial(path))
		if err := os.Lchown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	refused("a world-writable directory", "is writable by others", dial(path))
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := dial(path); err != nil {
		t.Errorf("a sticky directory: %v", err)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file", "is not a socket", dial(dir+"/file"))
	refused("nothing", "no such file", dial(dir+"/none"))
	refused("a relative path", "absolute and clean", dial("s"))
	if _, err := workload.NewUnixClient(nil); err == nil {
		t.Error("a client without a socket")
	}
}

// TestUnixStale: what a server that stopped left behind is replaced, by one of those that want to; a server that
// is there is not.
func TestUnixStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s.sock")
	first := listen(t, &workload.UnixConfig{Path: path})
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	if _, err := workload.ListenUnix(&workload.UnixConfig{Path: path}); err == nil || !strings.Contains(err.Error(), "another server listens") {
		t.Errorf("a second server: %v", err)
	}
	if first.Addr().String() != path {
		t.Errorf("the address is %q", first.Addr())
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed server left its socket: %v", err)
	}

	// A process that was killed leaves its socket.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if _, err := workload.ListenUnix(&workload.UnixConfig{Path: path}); err == nil || !strings.Contains(err.Error(), "another server listens") {
		t.Errorf("a server without our lock: %v", err)
	}
	_ = stale.Close() // the socket is still there
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []net.Listener
	for range 8 {
		wg.Go(func() {
			if ln, err := workload.ListenUnix(&workload.UnixConfig{Path: path}); err == nil {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, ln)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d servers listen on one socket", len(won))
	}
	go func() {
		if c, err := won[0].Accept(); err == nil {
			_ = c.Close() // it was only to see
		}
	}()
	c, err := workload.DialUnix(t.Context(), &workload.UnixDialConfig{Path: path})
	if err != nil {
		t.Error(err)
	} else {
		_ = c.Close() // it was only to see
	}
	if err := won[0].Close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 { // the lock
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
