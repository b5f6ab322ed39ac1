package authority

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// nodeVar tells the process of a node what it is, as a nodeConfig.
const nodeVar = "TOUCHMARK_TEST_NODE"

// A nodeConfig says what a process of an authority has in common with the others, and that it ships to the log.
type nodeConfig struct {
	Database, Dir string
	Ships         bool
}

// unlimited is a Config of real time, without limits that a load would reach.
func unlimited(c *Config) {
	c.Time = time.Now
	c.BadgesPerAgent, c.BadgesPerAccount, c.ChallengesPerAgent, c.ChallengesPerAccount = 1<<30, 1<<30, 1<<30, 1<<30
}

// open opens the node in this process; the log is nil if it ships nothing.
func (n *nodeConfig) open(ctx context.Context) (*Authority, *tesseralog.Log, error) {
	text, err := os.ReadFile(filepath.Join(n.Dir, "ca-key"))
	if err != nil {
		return nil, nil, err
	}
	key, err := jwk.ParsePrivate(text)
	if err != nil {
		return nil, nil, err
	}
	cfg := &Config{
		Issuer: testIssuer, Database: n.Database, Signers: &signers{keys: map[string]ed25519.PrivateKey{testKeyID: key.Key}},
		Resolver: &documents{docs: map[did.DID]*did.Document{}}, LogElsewhere: !n.Ships,
	}
	unlimited(cfg)
	var log *tesseralog.Log
	if n.Ships {
		if log, err = openNodeLog(ctx, n.Dir); err != nil {
			return nil, nil, err
		}
		cfg.Log = log
	}
	a, err := New(ctx, cfg)
	return a, log, err
}

// openNodeLog opens the log in a directory, and makes it and its key the first time.
func openNodeLog(ctx context.Context, dir string) (*tesseralog.Log, error) {
	path := filepath.Join(dir, "log-key")
	skey, err := os.ReadFile(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		text, _, err := translog.GenerateKey("registry.example/log")
		if err != nil {
			return nil, err
		}
		skey = []byte(text)
		if err := os.WriteFile(path, skey, 0o600); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	signer, err := translog.ParseSigner(string(skey))
	if err != nil {
		return nil, err
	}
	cfg := &tesseralog.Config{Dir: filepath.Join(dir, "log"), StatePath: filepath.Join(dir, "state", "checkpoint"), Signer: signer}
	if fresh {
		if err := errors.Join(os.MkdirAll(filepath.Dir(cfg.StatePath), 0o700), tesseralog.Create(ctx, cfg)); err != nil {
			return nil, err
		}
	}
	return tesseralog.Open(ctx, cfg)
}

// TestNodeProcess is the process of a node; by itself it tests nothing. It ends with its standard input.
func TestNodeProcess(t *testing.T) {
	text := os.Getenv(nodeVar)
	if text == "" {
		return
	}
	var n nodeConfig
	must(t, json.Unmarshal([]byte(text), &n))
	a, _, err := n.open(context.Background())
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ended := make(chan error, 3)
	go func() { ended <- a.Run(context.Background()) }()
	go func() { ended <- http.Serve(listener, a.Handler()) }() //nolint:gosec // timeouts are for strangers
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	if _, err := fmt.Fprintln(os.NewFile(3, "address"), "http://"+listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// A node is a running process.
type node struct {
	nodeConfig
	t      testing.TB
	cmd    *exec.Cmd
	output *bytes.Buffer

	mu  sync.Mutex
	url string // where it answers
}

// start runs the process, and returns when it answers.
func (n *node) start() {
	n.t.Helper()
	text, err := json.Marshal(&n.nodeConfig)
	must(n.t, err)
	read, write, err := os.Pipe()
	must(n.t, err)
	defer read.Close()
	n.cmd = exec.Command(os.Args[0], "-test.run=^TestNodeProcess$", "-test.count=1") //nolint:gosec // this program
	n.cmd.Env = append(os.Environ(), nodeVar+"="+string(text))
	n.cmd.ExtraFiles = []*os.File{write}
	n.output = new(bytes.Buffer)
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	_, err = n.cmd.StdinPipe() // it ends with this process
	must(n.t, err)
	must(n.t, errors.Join(n.cmd.Start(), write.Close()))
	address, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		_ = n.cmd.Wait()
		n.t.Fatalf("the node did not start: %s", n.output)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.url = strings.TrimSpace(address)
}

// kill ends the process without warning.
func (n *node) kill() {
	n.t.Helper()
	must(n.t, n.cmd.Process.Kill())
	if err := n.cmd.Wait(); err == nil {
		n.t.Errorf("the node had ended by itself: %s", n.output)
	} else if n.cmd.ProcessState.Exited() {
		n.t.Errorf("the node had failed by itself: %v: %s", err, n.output)
	}
}

func (n *node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}
