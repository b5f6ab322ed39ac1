package mcpguard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

// everythingServer is the SDK's own server for the official conformance suite. It is a command in the module
// cache, where nothing may be changed: the guarded one is built from a copy of it, by an overlay.
const everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// TestConformance runs the official suite against the SDK's own server without and with a guard that allows
// everything, in both generations of the protocol: the guard changes nothing that the suite can see.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two servers")
	}
	node, suite := peers.Node(t), peers.Script(t, "@modelcontextprotocol/conformance")
	plain, guarded := buildServers(t)
	for _, c := range []struct {
		version string
		flags   []string
		total   string // published with the suite: a change of either version is worth a look
	}{
		{withSessions, []string{"-stateless=false"}, "Total: 82 passed, 0 failed"},
		{withoutSessions, nil, "Total: 165 passed, 30 failed"},
	} {
		t.Run(c.version, func(t *testing.T) {
			kept := t.TempDir()
			run := func(server string) []string {
				return summary(t, node, suite, startServer(t, server, kept, c.flags), c.version, t.TempDir(), false)
			}
			without, with := run(plain), run(guarded)
			if n := decisions(t, kept); n < 20 {
				t.Errorf("%d decisions in the evidence: the guard was not in the way", n)
			}
			if !slices.Contains(without, c.total) {
				t.Errorf("without the guard: %s, want %s", without[len(without)-1], c.total)
			}
			if !slices.Equal(without, with) {
				t.Errorf("without the guard:\n%s\nwith the guard:\n%s", strings.Join(without, "\n"), strings.Join(with, "\n"))
			}
		})
	}
}

// buildServers builds the server as it is, and as a package of this module that exists only for the compiler:
// its main.go is the server's, changed in two places, beside testdata/conformance/guarded.go.
func buildServers(t *testing.T) (plain, guarded string) {
	t.Helper()
	dir := t.TempDir()
	plain, guarded = filepath.Join(dir, "plain"), filepath.Join(dir, "guarded")
	source := strings.TrimSpace(goTool(t, "list", "-f", "{{.Dir}}", everythingServer))
	main, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	const old = "http.ListenAndServe(*httpAddr, handler)"
	if bytes.Count(main, []byte(old)) != 1 {
		t.Fatalf("%s has changed: no %q in it", everythingServer, old)
	}
	main = bytes.Replace(main, []byte(old), []byte("http.ListenAndServe(*httpAddr, guarded(server, handler))"), 1)
	changed := filepath.Join(dir, "main.go")
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	virtual := filepath.Join(here, "conformanceserver")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(virtual, "main.go"):    changed,
		filepath.Join(virtual, "guarded.go"): filepath.Join(here, "testdata", "conformance", "guarded.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{changed: main, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goTool(t, "build", "-o", plain, everythingServer)
	goTool(t, "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", guarded, "./conformanceserver")
	return plain, guarded
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// decisions counts the decisions in a journal.
func decisions(t *testing.T, dir string) (n int) {
	t.Helper()
	for stored, err := range evidence.ReadJournal(dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(stored.Entry, []byte(`"kind":"decision"`)) {
			n++
		}
	}
	return n
}

// startServer runs a server until the test ends, and returns its URL. A guarded one keeps its evidence in dir.
func startServer(t *testing.T, binary, dir string, flags []string, env ...string) string {
	t.Helper()
	addr := "127.0.0.1:" + peers.Port(t)
	cmd := exec.Command(binary, append([]string{"-http", addr}, flags...)...)
	cmd.Env = append(append(os.Environ(), "CONFORMANCE_EVIDENCE="+dir), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 1200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not listen", binary)
	return ""
}

var scenarioLine = regexp.MustCompile(`(?m)^(?:\S+ [a-z0-9-]+: \d+ passed, \d+ failed.*|Total: \d+ passed, \d+ failed)$`)

// summary runs the suite, and returns what it says of each scenario, and its total last.
// What it checked goes to dir. Fails says whether it finds the server wanting.
func summary(t *testing.T, node, suite, url, version, dir string, fails bool) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, suite, "server", "--url", url, "--requirements", version, "--output-dir", dir).CombinedOutput()
	if (err != nil) != fails {
		t.Fatalf("conformance suite: %v\n%s", err, out)
	}
	_, text, ok := strings.Cut(string(out), "=== SUMMARY ===")
	lines := scenarioLine.FindAllString(text, -1)
	if !ok || len(lines) < 10 {
		t.Fatalf("no summary in what the suite says:\n%s", out)
	}
	return lines
}
