package authzen_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

// An opa is a real Open Policy Agent.
type opa struct {
	program string
	addr    string // of its -addr
	policy  string // file
	process *exec.Cmd
}

func (o *opa) start(t testing.TB) {
	t.Helper()
	var out bytes.Buffer
	o.process = exec.Command(o.program, "run", "--server", "--disable-telemetry", "--log-level", "error", "--watch", "--addr", o.addr, o.policy) //nolint:gosec,noctx // a test's own
	o.process.Stdout, o.process.Stderr = &out, &out
	if err := o.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.kill)
	for end := time.Now().Add(30 * time.Second); !o.healthy(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			o.kill()
			t.Fatalf("OPA does not start: %s", out.String())
		}
	}
}

func (o *opa) healthy() bool {
	network, address := "tcp", strings.TrimPrefix(o.addr, "http://")
	if socket, ok := strings.CutPrefix(o.addr, "unix://"); ok {
		network, address = "unix", socket
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		},
	}, Timeout: 5 * time.Second}
	resp, err := client.Get("http://localhost/health")
	if err != nil {
		return false
	}
	resp.Body.Close() //nolint:errcheck // nothing is read
	return resp.StatusCode == http.StatusOK
}

func (o *opa) kill() {
	if o.process != nil && o.process.ProcessState == nil {
		o.process.Process.Kill() //nolint:errcheck // it may have ended
		o.process.Wait()         //nolint:errcheck // it was killed
	}
}

func (o *opa) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := o.process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// edit exchanges the policy. OPA watches the file.
func (o *opa) edit(t *testing.T, old, with string) {
	t.Helper()
	text, err := os.ReadFile("testdata/touchmark.rego")
	if err != nil {
		t.Fatal(err)
	}
	if old != "" && !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%q is not in the policy", old)
	}
	if err := os.WriteFile(o.policy, bytes.Replace(text, []byte(old), []byte(with), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newOPA(t testing.TB, tcp bool) (*opa, string) {
	t.Helper()
	o := &opa{program: peers.OPA(t), policy: filepath.Join(t.TempDir(), "touchmark.rego")}
	endpoint := "unix:" + filepath.Join(t.TempDir(), "s")
	o.addr = "unix://" + strings.TrimPrefix(endpoint, "unix:")
	if tcp {
		endpoint = "http://127.0.0.1:" + peers.Port(t)
		o.addr = endpoint
	}
	text, err := os.ReadFile("testdata/touchmark.rego")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.policy, text, 0o600); err != nil {
		t.Fatal(err)
	}
	o.start(t)
	return o, endpoint
}

func ofOPA(cfg *authzen.Config) {
	cfg.Form, cfg.Path, cfg.Enforces = authzen.OPA, "/v1/data/touchmark/answer", []string{guard.ConstraintRuntime}
}

// A real server, killed, stopped, and with policies that do not answer, while calls go on: all that was decided
// meanwhile was refused, and is in a real ledger.
func TestOPA(t *testing.T) {
	o, endpoint := newOPA(t, true)
	before := runtime.NumGoroutine()
	w := guardtest.New(t)
	server := badgetest.NewAgent(t)
	ledger, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: t.TempDir(), Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, endpoint, ofOPA)
	hasty := client(t, endpoint, ofOPA, timeout(200*time.Millisecond))
	record := func(cfg *guard.Config) { cfg.Evidence = ledger }
	g := w.Guard(func(cfg *guard.Config) { cfg.Policy = c }, record)
	quick := w.Guard(func(cfg *guard.Config) { cfg.Policy = hasty }, record)
	agent := w.Agent(badge.LevelDomain)

	allowed(t, g, agent.Call("read_file", `{}`))
	for tool, code := range map[string]guard.Code{"write_file": guard.CodePolicyDenied, "deploy": guard.CodeApprovalRequired} {
		if _, err := g.Check(t.Context(), agent.Call(tool, `{}`)); guard.RefusalOf(err).Code != code {
			t.Errorf("%s: %v", tool, err)
		}
	}
	d, err := c.Decide(t.Context(), input("search", ""))
	if err != nil || d.Kind != guard.Deny || d.Version != "opa "+endpoint+" rego-1" {
		t.Errorf("%+v, %v", d, err)
	}

	many := func(name string, g *guard.Guard) {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for range 5 {
				r := agent.Call("read_file", `{}`)
				wg.Go(func() { refused(t, g, r) })
			}
			wg.Wait()
		})
	}
	o.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(o.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("%v, %v", status, err)
	}
	many("stopped", quick)
	o.signal(t, syscall.SIGCONT)
	allowed(t, g, agent.Call("read_file", `{}`))
	o.kill()
	many("killed", g)
	o.start(t)
	allowed(t, g, agent.Call("read_file", `{}`))
	for name, lie := range map[string][2]string{
		"undefined":          {"default allow := false", ""},
		"a text":             {`"decision": allow`, `"decision": "true"`},
		"without a decision": {`"decision": allow,`, ""},
		"another request":    {"input.request_id", `"another"`},
		"rules that differ":  {"default allow := false", "allow := 1\n\nallow := 2"},
	} {
		o.edit(t, lie[0], lie[1])
		// OPA takes the file when it has seen it. Until then it says what it said before.
		waitUndetermined(t, c, name)
		t.Run(name, func(t *testing.T) { refused(t, g, agent.Call("write_file", `{}`)) })
	}
	c.Close()
	hasty.Close()
	if err := ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, before)
}

// waitUndetermined waits until the service gives no answer any more.
func waitUndetermined(t *testing.T, c *authzen.Client, name string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d, err := c.Decide(t.Context(), input("read_file", ""))
		if err != nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s", name, fmt.Sprintf("%+v", d))
		}
	}
}
