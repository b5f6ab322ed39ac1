// Package trilliantest runs a real Trillian for tests: its log server and its signer, on PostgreSQL or on MariaDB. The
// programs are those of Trillian itself; `make trillian` builds them.
//
// Every function here skips the test that asks for something that is not installed, or fails it when
// TOUCHMARK_REQUIRE_PEERS is set, as CI does.
package trilliantest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// Programs of Trillian.
const (
	serverProgram = "trillian_log_server"
	signerProgram = "trillian_log_signer"
)

// SequencerInterval is the time between two runs of the signer.
const SequencerInterval = 50 * time.Millisecond

// A Database is where a Trillian keeps its trees.
type Database struct {
	System string // "postgresql" or "mysql"
	URI    string // as Trillian wants it
	args   []string
	run    func(t testing.TB, statements string)
}

// A Trillian is a log server and a signer that can be killed and started again.
type Trillian struct {
	t        testing.TB
	Address  string // of the log server
	Database *Database

	mu       sync.Mutex
	programs map[string]*exec.Cmd
	output   string // directory
}

// Start starts a server and a signer on a database, which end with the test.
func Start(t testing.TB, db *Database) *Trillian {
	t.Helper()
	r := &Trillian{t: t, Database: db, Address: freeAddress(t), programs: make(map[string]*exec.Cmd), output: t.TempDir()}
	t.Cleanup(func() {
		r.Kill(serverProgram)
		r.Kill(signerProgram)
		if t.Failed() {
			r.dump()
		}
	})
	r.Run(serverProgram)
	r.Run(signerProgram)
	return r
}

// Server and Signer are the names for [Trillian.Kill] and [Trillian.Run].
func (r *Trillian) Server() string { return serverProgram }

// Signer is the name of the other program.
func (r *Trillian) Signer() string { return signerProgram }

// Tree makes a tree for a log with one writer.
func (r *Trillian) Tree() int64 {
	r.t.Helper()
	return r.makeTree(trillianlog.CreateTree)
}

// SharedTree makes a tree for a log with several writers.
func (r *Trillian) SharedTree() int64 {
	r.t.Helper()
	return r.makeTree(trillianlog.CreateSharedTree)
}

func (r *Trillian) makeTree(create func(context.Context, *trillianlog.Config, string) (int64, error)) int64 {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		id, err := create(try, &trillianlog.Config{Server: r.Address}, "test")
		cancel()
		if err == nil {
			return id
		}
		if code := status.Code(err); ctx.Err() != nil || code != codes.Unavailable && code != codes.DeadlineExceeded {
			r.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Run starts a program that does not run.
func (r *Trillian) Run(program string) {
	r.t.Helper()
	address := r.Address
	args := append([]string{
		"--storage_system=" + r.Database.System, "--quota_system=noop", "--rpc_endpoint=" + address, "--http_endpoint=", "--logtostderr",
	}, r.Database.args...)
	if program == signerProgram {
		args[2] = "--rpc_endpoint=" + freeAddress(r.t)
		args = append(args, "--force_master", "--batch_size=1000", "--num_sequencers=2", fmt.Sprintf("--sequencer_interval=%v", SequencerInterval))
	}
	log, err := os.OpenFile(filepath.Join(r.output, program), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a directory of the test
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()                                   //nolint:errcheck // the program has it
	cmd := exec.Command(Program(r.t, program), args...) //nolint:gosec // nothing from outside
	cmd.Stdout, cmd.Stderr = log, log
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs[program] = cmd
}

// Kill ends a program with SIGKILL.
func (r *Trillian) Kill(program string) {
	r.mu.Lock()
	cmd := r.programs[program]
	delete(r.programs, program)
	r.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
	}
}

// dump shows the end of what the programs said.
func (r *Trillian) dump() {
	for _, program := range []string{serverProgram, signerProgram} {
		text, err := os.ReadFile(filepath.Join(r.output, program)) //nolint:gosec // nothing from outside
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		r.t.Logf("%s:\n%s", program, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

// Program returns the path of one of Trillian's programs.
func Program(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(moduleRoot(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		missing(t, name, "make trillian")
	}
	return path
}

func missing(t testing.TB, what, command string) {
	t.Helper()
	if os.Getenv("TOUCHMARK_REQUIRE_PEERS") != "" {
		t.Fatalf("%s is not installed; run: %s", what, command)
	}
	t.Skipf("%s is not installed; run: %s", what, command)
}

// freeAddress returns an address at which nobody listens, and whose port the system gives to nobody who asks for any:
// who dials such a port before its server listens may be connected to itself.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort(loopback(), strconv.Itoa(15_000+rand.IntN(15_000))) //nolint:gosec // any will do
		ln, err := net.Listen("tcp", address)
		if err == nil {
			_ = ln.Close() // it was only to be free
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// moduleRoot finds this module's directory above the working directory.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // nothing from outside
		first, _, _ := strings.Cut(string(data), "\n")
		if err == nil && first == "module github.com/touchmark-dev/touchmark" {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no module above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// schema returns the tables that Trillian wants in a database.
func schema(t testing.TB, system string) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/trillian")
	cmd.Dir = moduleRoot(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "storage", system, "schema", "storage.sql")) //nolint:gosec // nothing from outside
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
