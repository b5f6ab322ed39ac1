package sqltest

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An Own is a PostgreSQL of one test's own, with fsync, which can be killed, started again, and put back to what it was.
type Own struct {
	t      testing.TB
	bin    string
	dir    string
	owner  *syscall.Credential
	cmd    *exec.Cmd
	exited chan struct{}
}

// StartOwn starts a server that ends with the test. The test is skipped, or fails, as with [PostgreSQL].
func StartOwn(t testing.TB) *Own {
	t.Helper()
	o := &Own{t: t, bin: programs()}
	if o.bin == "" {
		if os.Getenv("TOUCHMARK_REQUIRE_PEERS") != "" {
			t.Fatal("PostgreSQL is not installed: run apt-get install postgresql")
		}
		t.Skip("PostgreSQL is not installed: run apt-get install postgresql")
	}
	var err error
	if o.owner, err = unprivileged(); err != nil {
		t.Fatal(err)
	}
	// Not below TMPDIR: the path of a socket may have a hundred characters, and its user must reach it.
	if o.dir, err = os.MkdirTemp("/tmp", "touchmark-own-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.Kill()
		if err := os.RemoveAll(o.dir); err != nil {
			t.Error(err)
		}
	})
	if o.owner != nil {
		if err := os.Chown(o.dir, int(o.owner.Uid), int(o.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	o.command(filepath.Join(o.bin, "initdb"), "-D", o.data(), "-U", "touchmark", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	o.Run()
	return o
}

func (o *Own) data() string { return filepath.Join(o.dir, "data") }

// command runs a program as who the server runs as.
func (o *Own) command(name string, args ...string) {
	o.t.Helper()
	cmd := exec.Command(name, args...) //nolint:gosec // nothing from outside
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: o.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// URL is that of a database of the server.
func (o *Own) URL(database string) string {
	u := &url.URL{
		Scheme: "postgres", User: url.User("touchmark"), Path: "/" + database, RawQuery: url.Values{"host": {o.dir}}.Encode(),
	}
	return u.String()
}

// Database makes a database and returns its URL.
func (o *Own) Database(name string) string {
	o.t.Helper()
	db, err := sql.Open("pgx", o.URL("postgres"))
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // done with
	if _, err := db.ExecContext(o.t.Context(), "CREATE DATABASE "+name); err != nil {
		o.t.Fatal(err)
	}
	return o.URL(name)
}

// Run starts the server that was killed or stopped, and returns when it has recovered. Processes of the one before may still be
// there, with which it does not start.
func (o *Own) Run() {
	o.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		o.launch()
		if o.answers() {
			return
		}
		if time.Since(began) > startTimeout {
			o.t.Fatalf("PostgreSQL did not start: %s", tail(o.dir))
		}
	}
}

func (o *Own) launch() {
	o.t.Helper()
	log, err := os.OpenFile(filepath.Join(o.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		o.t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the server has it
	//nolint:gosec // nothing from outside
	o.cmd = exec.Command(filepath.Join(o.bin, "postgres"), "-D", o.data(), "-k", o.dir, "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "shared_buffers=64MB")
	o.cmd.Dir, o.cmd.Stdout, o.cmd.Stderr = "/", log, log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.owner, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // killed, stopped, or not started: answers tells
		close(exited)
	}(o.cmd, o.exited)
}

// answers waits until the server answers or has ended.
func (o *Own) answers() bool {
	db, err := sql.Open("pgx", o.URL("postgres"))
	if err != nil {
		return false
	}
	defer func() { _ = db.Close() }() // it was only asked whether it answers
	for {
		if db.PingContext(o.t.Context()) == nil {
			return true
		}
		select {
		case <-o.exited:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server with SIGKILL. Its own processes end when they notice.
func (o *Own) Kill() {
	if o.cmd != nil {
		_ = o.cmd.Process.Kill() // it may have ended by itself
		<-o.exited
	}
}

// Stop ends the server in order.
func (o *Own) Stop() {
	o.t.Helper()
	if err := o.cmd.Process.Signal(syscall.SIGINT); err != nil {
		o.t.Fatal(err)
	}
	<-o.exited
}

// Save copies all databases to a directory beside them while the server is stopped. Load puts the copy in their place.
func (o *Own) Save(name string) { o.copy(o.data(), filepath.Join(o.dir, name)) }

// Load is the other way of [Own.Save].
func (o *Own) Load(name string) { o.copy(filepath.Join(o.dir, name), o.data()) }

func (o *Own) copy(from, to string) {
	o.t.Helper()
	if !strings.HasPrefix(to, o.dir) {
		o.t.Fatal(fmt.Errorf("sqltest: %q is not the server's", to))
	}
	if err := os.RemoveAll(to); err != nil {
		o.t.Fatal(err)
	}
	o.command("cp", "-a", from, to)
}
