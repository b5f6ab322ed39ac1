package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/tour"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

// A bench is the built command with a home that a tour made, and the npm file
// server.
type bench struct {
	t        *testing.T
	command  string
	home     string
	data     string
	node     string
	server   string
	upstream []string // the gateway's command line, without flags of a test
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, node: peers.Node(t), server: peers.Script(t, "@modelcontextprotocol/server-filesystem")}
	dir := t.TempDir()
	b.command, b.home, b.data = filepath.Join(dir, "touchmark"), filepath.Join(dir, "home"), filepath.Join(dir, "data")
	if out, err := exec.Command("go", "build", "-o", b.command, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range []string{b.home, b.data} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.data, "a.txt"), []byte("hello from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tour.Run(t.Context(), &tour.Options{Dir: b.home}); err != nil {
		t.Fatal(err)
	}
	b.upstream = []string{"--", b.node, b.server, b.data}
	return b
}

// run runs a program to its end.
func (b *bench) run(name string, args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(b.node)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.WaitDelay = time.Minute
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// call runs `touchmark call` as an agent of the tour against the gateway.
func (b *bench) call(as string, args ...string) (string, string, int) {
	b.t.Helper()
	line := append([]string{"call", "--home", b.home, "--as", as, "--timeout", "60s"}, args...)
	line = append(line, "--", b.command, "gateway", "--home", b.home, "--quiet")
	return b.run(b.command, append(line, b.upstream...)...)
}

// inspect runs the MCP inspector's command line against the gateway. It signs
// nothing, so that the gateway has to take bare badges.
func (b *bench) inspect(badge string, args ...string) (string, int) {
	b.t.Helper()
	line := append([]string{peers.Script(b.t, "@modelcontextprotocol/inspector"), "--cli"}, args...)
	line = append(line, "--metadata", "dev.touchmark/badge="+badge,
		"--", b.command, "gateway", "--home", b.home, "--quiet", "--allow-bearer-unsafe")
	out, errOut, code := b.run(b.node, append(line, b.upstream...)...)
	if code != 0 {
		out += errOut
	}
	return out, code
}

func (b *bench) token(as string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.home, as+".badge"))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// The gateway in front of the npm file server: reads are allowed at level 2,
// writes are refused and not listed, and everything is in the log.
func TestGatewayFilesystem(t *testing.T) {
	b := newBench(t)
	before := b.records()
	out, errOut, code := b.call("reader", "--list")
	tools := strings.Fields(out)
	if code != 0 || !slices.Contains(tools, "read_text_file") || slices.Contains(tools, "write_file") {
		t.Fatalf("list: exit code %d\n%s%s", code, out, errOut)
	}
	receipt := filepath.Join(t.TempDir(), "read.tlog-proof")
	file := filepath.Join(b.data, "a.txt")
	out, errOut, code = b.call("reader", "read_text_file", "path="+file, "--receipt", receipt)
	if code != 0 || !strings.Contains(out, "hello from a file") {
		t.Fatalf("read: exit code %d\n%s%s", code, out, errOut)
	}
	target := filepath.Join(b.data, "b.txt")
	out, errOut, code = b.call("reader", "write_file", "path="+target, "content=x")
	if code != 1 || out != "" || !strings.Contains(errOut, `unknown tool "write_file"`) {
		t.Errorf("write: exit code %d\n%s%s", code, out, errOut)
	}
	out, errOut, code = b.call("guest", "read_text_file", "path="+file)
	if code != 1 || out != "" {
		t.Errorf("read at level 0: exit code %d\n%s%s", code, out, errOut)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the file was written")
	}
	b.proveAll(before, map[string]int{"allow tools/list": 1, "allow tools/call": 1, "deny tools/call": 2}, receipt)
}

func TestGatewayInspector(t *testing.T) {
	b := newBench(t)
	before := b.records()
	badge := b.token("reader")
	out, code := b.inspect(badge, "--method", "tools/list")
	if code != 0 || !strings.Contains(out, `"read_text_file"`) || strings.Contains(out, `"write_file"`) {
		t.Fatalf("list: exit code %d\n%s", code, out)
	}
	file := filepath.Join(b.data, "a.txt")
	out, code = b.inspect(badge, "--method", "tools/call", "--tool-name", "read_text_file", "--tool-arg", "path="+file)
	if code != 0 || !strings.Contains(out, "hello from a file") || !strings.Contains(out, "dev.touchmark/evidence") {
		t.Fatalf("read: exit code %d\n%s", code, out)
	}
	target := filepath.Join(b.data, "b.txt")
	out, code = b.inspect(badge, "--method", "tools/call", "--tool-name", "write_file", "--tool-arg", "path="+target, "--tool-arg", "content=x")
	if code == 0 {
		t.Errorf("write: exit code %d\n%s", code, out)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the file was written")
	}
	// The inspector asks for the list before a call, and calls nothing that is not in it.
	b.proveAll(before, map[string]int{"allow tools/list": 3, "allow tools/call": 1}, "")
}

// Unmodified clients from npm, through `touchmark connect`.
func TestConnectScripts(t *testing.T) {
	node, inspector := peers.Node(t), peers.Script(t, "@modelcontextprotocol/inspector")
	testscript.Run(t, scripts(testscript.Params{
		Dir: "testdata/npm",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NODE", node)
			env.Setenv("INSPECTOR", inspector)
			env.Setenv("HOME", env.WorkDir) // where the inspector keeps things
			return nil
		},
	}))
}

func (b *bench) records() int {
	b.t.Helper()
	out, errOut, code := b.run(b.command, "evidence", "list", "--json", "--home", b.home)
	if code != 0 {
		b.t.Fatalf("evidence list: exit code %d\n%s", code, errOut)
	}
	return strings.Count(out, "\n")
}

// ship has everything that is recorded in the log: a client may have killed its gateway before that was.
func (b *bench) ship() {
	b.t.Helper()
	b.must(append([]string{"gateway", "--home", b.home, "--quiet"}, b.upstream...)...) // nobody asks it anything
}

// proveAll checks that the journal holds the decisions wanted from a sequence
// number on, that its chain holds, and that each record is in the log; and that
// the receipt, if there is one, is that of a decision.
func (b *bench) proveAll(from int, want map[string]int, receipt string) {
	b.t.Helper()
	b.ship()
	out, errOut, code := b.run(b.command, "evidence", "list", "--json", "--home", b.home, "--from", fmt.Sprint(from))
	if code != 0 {
		b.t.Fatalf("evidence list: exit code %d\n%s", code, errOut)
	}
	got, receipts := map[string]int{}, 0
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var r recordLine
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatal(err)
		}
		if r.Kind == "decision" {
			got[r.Decision+" "+r.Method]++
		}
		if b.prove(r.ID, receipt) {
			receipts++
		}
	}
	for what, n := range want {
		if got[what] != n {
			b.t.Errorf("%d records of %q, want %d: %v", got[what], what, n, got)
		}
	}
	if receipt != "" && receipts != 1 {
		b.t.Errorf("the receipt is that of %d records", receipts)
	}
	if out, errOut, code := b.run(b.command, "evidence", "verify", "--home", b.home); code != 0 {
		b.t.Errorf("evidence verify: exit code %d\n%s%s", code, out, errOut)
	}
}

// prove makes and verifies the proof of a record, and reports whether receipt
// proves the same record.
func (b *bench) prove(id, receipt string) bool {
	b.t.Helper()
	entry, proof := filepath.Join(b.t.TempDir(), "entry.json"), filepath.Join(b.t.TempDir(), "entry.tlog-proof")
	policy := filepath.Join(b.home, "log.policy")
	for _, args := range [][]string{
		{"evidence", "show", "--home", b.home, "--out", entry, id},
		{"log", "prove", "--home", b.home, "--entry", entry, "--out", proof},
		{"log", "verify", "--entry", entry, "--proof", proof, "--policy", policy},
	} {
		if out, errOut, code := b.run(b.command, args...); code != 0 {
			b.t.Fatalf("touchmark %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errOut)
		}
	}
	if receipt == "" {
		return false
	}
	_, _, code := b.run(b.command, "log", "verify", "--entry", entry, "--proof", receipt, "--policy", policy)
	return code == 0
}
