//go:build unix

package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// startTimeout is long: machines that run many tests at once are slow.
const startTimeout = 2 * time.Minute

// serverScript makes and runs a server until its standard input ends, which it does when the test process does, and
// then removes everything.
const serverScript = `
"$1/initdb" -D "$2/data" -U touchmark -A trust -E UTF8 --locale=C --no-sync || exit 1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync="$3" -c full_page_writes="$3" \
	-c max_connections=200 -c shared_buffers=64MB </dev/null &
read -r _
kill -INT $!
wait $!
cd / && rm -rf "$2"
`

// start starts a server. A nil URL beside an error means that none is installed.
func start(fsync bool) (*url.URL, error) {
	bin := programs()
	if bin == "" {
		return nil, errors.New("PostgreSQL is not installed: run apt-get install postgresql, or set TOUCHMARK_POSTGRES")
	}
	none := &url.URL{}
	owner, err := unprivileged()
	if err != nil {
		return none, err
	}
	// Not below TMPDIR: the path of a socket may have a hundred characters, and its user must reach it.
	dir, err := os.MkdirTemp("/tmp", "touchmark-pg-")
	if err != nil {
		return none, err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return none, err
		}
	}
	exited, err := run(bin, dir, map[bool]string{true: "on", false: "off"}[fsync], owner)
	if err != nil {
		return none, err
	}
	u := &url.URL{
		Scheme: "postgres", User: url.User("touchmark"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}}.Encode(),
	}
	return u, await(u, dir, exited)
}

// run starts the script, whose standard input stays open until this process ends.
func run(bin, dir, fsync string, owner *syscall.Credential) (exited <-chan error, err error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // made above
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", serverScript, "sh", bin, dir, fsync) //nolint:gosec // nothing from outside
	cmd.Dir = "/"
	// In a group of its own, an interrupt from the keyboard reaches it only as the end of this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	cmd.Stdout, cmd.Stderr = log, log
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		done <- errors.Join(err, log.Close())
	}()
	return done, nil
}

// await returns nil when the server answers.
func await(u *url.URL, dir string, exited <-chan error) error {
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it was only asked whether it answers
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case err := <-exited:
			return errors.Join(fmt.Errorf("PostgreSQL did not start: %s", tail(dir)), err)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, tail(dir))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func tail(dir string) []byte {
	log, err := os.ReadFile(filepath.Join(dir, "log")) //nolint:gosec // made above
	if err != nil {
		return []byte(err.Error())
	}
	return log[max(0, len(log)-2000):]
}

// programs returns the directory of the newest server that is installed, or "".
func programs() string {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return ""
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for a directory of another kind
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// unprivileged returns whom to run the server as: PostgreSQL refuses to be run by root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}
