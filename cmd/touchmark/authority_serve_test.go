package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// command runs the program in this process.
func command(ctx context.Context, out, errOut io.Writer, args ...string) exitCode {
	con := newConsole(strings.NewReader(""), out, errOut)
	app := newApp(con)
	line, err := arrange(app, append([]string{"touchmark"}, args...))
	con.globals = line.globals
	if err != nil {
		return con.finish(err)
	}
	con.path, con.child = line.path, line.child
	return con.finish(app.RunContext(ctx, line.argv()))
}

// A lockedBuffer is what a service tells while a test looks.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A request that is under way when the authority is told to end gets its answer,
// and what it did is in the log; a new one is not taken.
func TestServeEndsWhatIsUnderWay(t *testing.T) {
	home := filepath.Join(t.TempDir(), "registry")
	var told bytes.Buffer
	if code := command(t.Context(), io.Discard, &told, "authority", "init", "--out", home, "--issuer", "https://registry.example"); code != exitOK {
		t.Fatal(told.String())
	}
	key, err := os.ReadFile(filepath.Join(home, authorityAdmin))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	log, ended := &lockedBuffer{}, make(chan exitCode, 1)
	go func() {
		ended <- command(ctx, in, log, "authority", "serve", "--json", "--home", home, "--listen", "127.0.0.1:0", "--behind-proxy")
		_ = in.Close()
	}()
	var where struct{ Addr string }
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err, log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()

	body := `{"name":"ada","public_key_jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`
	conn, err := net.Dial("tcp", where.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /v1/agents HTTP/1.1\r\nHost: registry.example\r\n%s: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", accountKeyHeader, strings.TrimSpace(string(key)), len(body)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v: %s", line, err, log)
	}
	if _, err := answers.ReadString('\n'); err != nil { // the end of the headers that there are none of
		t.Fatal(err)
	}
	stop() // while the authority waits for the body
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		other, err := net.Dial("tcp", where.Addr)
		if err != nil {
			break
		}
		_ = other.Close()
		if time.Since(began) > time.Minute {
			t.Fatalf("connections are still taken: %s", log)
		}
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err, log)
	}
	defer answer.Body.Close()
	var agent shownAgent
	if err := json.NewDecoder(answer.Body).Decode(&agent); err != nil || answer.StatusCode != http.StatusCreated || agent.DID == "" {
		t.Fatalf("status %d, %+v, %v", answer.StatusCode, agent, err)
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, log)
	}
	var found bytes.Buffer
	if code := command(t.Context(), &found, io.Discard, "log", "monitor", "--issuance", agent.DID, "--log", filepath.Join(home, "log"),
		"--policy", filepath.Join(home, "log.policy"), "--once"); code != exitOK || !strings.Contains(found.String(), "agent.registered") {
		t.Errorf("exit code %d: %q", code, found.String())
	}
}
