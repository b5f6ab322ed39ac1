package trilliantest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mariaStart is long: machines that run many tests at once are slow.
const mariaStart = 2 * time.Minute

var (
	mariaOnce   sync.Once
	mariaSocket string
	mariaErr    error
	mariaNames  atomic.Uint64
)

// MariaDB returns a new database on a server that the test process starts for itself, from the programs that are
// installed, on a unix socket alone.
func MariaDB(t testing.TB) *Database {
	t.Helper()
	Program(t, serverProgram) // skips
	if os.Getenv("TOUCHMARK_WITHOUT_MARIADB") != "" {
		t.Skip("TOUCHMARK_WITHOUT_MARIADB is set; run: apt-get install mariadb-server")
	}
	for _, name := range []string{"mariadbd", "mariadb-install-db", "mariadb"} {
		if mariaProgram(name) == "" {
			missing(t, name, "apt-get install mariadb-server")
		}
	}
	mariaOnce.Do(func() { mariaSocket, mariaErr = startMariaDB() })
	if mariaErr != nil {
		t.Fatal(mariaErr)
	}
	name := fmt.Sprintf("trillian%d", mariaNames.Add(1))
	mariaRun(t, "", "create database "+name)
	mariaRun(t, name, schema(t, "mysql"))
	uri := fmt.Sprintf("root@unix(%s)/%s", mariaSocket, name)
	return &Database{System: "mysql", URI: uri, args: []string{"--mysql_uri=" + uri, "--mysql_max_conns=20", "--mysql_max_idle_conns=10"},
		run: func(t testing.TB, statements string) { mariaRun(t, name, statements) }}
}

func mariaRun(t testing.TB, database, statements string) {
	t.Helper()
	args := []string{"--no-defaults", "--socket=" + mariaSocket, "--user=root"}
	if database != "" {
		args = append(args, database)
	}
	cmd := exec.Command(mariaProgram("mariadb"), args...) //nolint:gosec // nothing from outside
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mariadb: %v: %s", err, out)
	}
}

func mariaProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if path := filepath.Join("/usr/sbin", name); exists(path) {
		return path
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// mariaScript makes and runs a server until its standard input ends, which it does when the test process does.
const mariaScript = `
"$1" --no-defaults --user="$4" --datadir="$3/data" --tmpdir="$3" --auth-root-authentication-method=normal --skip-test-db >/dev/null || exit 1
"$2" --no-defaults --user="$4" --datadir="$3/data" --tmpdir="$3" --socket="$3/s" --pid-file="$3/pid" --skip-networking \
	--skip-log-bin --innodb-flush-log-at-trx-commit=2 --max-connections=200 </dev/null &
read -r _
kill -TERM $!
wait $!
cd / && rm -rf "$3"
`

func startMariaDB() (socket string, err error) {
	// Not below TMPDIR: the path of a socket may have a hundred characters, and its user must reach it.
	dir, err := os.MkdirTemp("/tmp", "touchmark-maria-")
	if err != nil {
		return "", err
	}
	owner, err := mariaOwner(dir)
	if err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(dir, "log")) //nolint:gosec // nothing from outside
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", mariaScript, "sh", mariaProgram("mariadb-install-db"), mariaProgram("mariadbd"), dir, owner) //nolint:gosec // nothing from outside
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	if _, err := cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }() // holds on to its standard input until the process ends
	socket = filepath.Join(dir, "s")
	for began := time.Now(); time.Since(began) < mariaStart; time.Sleep(100 * time.Millisecond) {
		ping := exec.Command(mariaProgram("mariadb"), "--no-defaults", "--socket="+socket, "--user=root", "-e", "select 1") //nolint:gosec // nothing from outside
		if ping.Run() == nil {
			return socket, nil
		}
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log")) //nolint:gosec,errcheck // made above, and for the error alone
	return "", fmt.Errorf("MariaDB does not answer: %s", text[max(0, len(text)-2000):])
}

// mariaOwner gives the directory to whom the server runs as: not root.
func mariaOwner(dir string) (string, error) {
	me, err := user.Current()
	if err != nil {
		return "", err
	}
	if me.Uid != "0" {
		return me.Username, nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return "", err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return "", err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return "", err
	}
	return u.Username, os.Chown(dir, uid, gid)
}
