package trillianlog_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
)

// roleVariable has this test process be a part of the test, instead of running it.
const roleVariable = "TOUCHMARK_TEST_TRILLIAN_ROLE"

var roles = map[string]func(args string) error{"publisher": publisherProcess, "writer": writerProcess}

func TestMain(m *testing.M) {
	role, args, _ := strings.Cut(os.Getenv(roleVariable), " ")
	if role == "" {
		os.Exit(m.Run())
	}
	if err := roles[role](args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A process is a part of the test in a process of its own.
type process struct {
	cmd  *exec.Cmd
	read chan struct{} // closed when all of its output is

	mu   sync.Mutex
	last string // line of its output
}

func startProcess(t testing.TB, role string, args any) *process {
	t.Helper()
	return startTelling(t, role, args, func(string) {})
}

// startTelling starts a process, and tells each line of its output.
func startTelling(t testing.TB, role string, args any, tell func(line string)) *process {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), read: make(chan struct{})} //nolint:gosec // this test
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+string(text))
	p.cmd.Stderr = os.Stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // it ends when the test does
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			tell(lines.Text())
			p.mu.Lock()
			p.last = lines.Text()
			p.mu.Unlock()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.read
	_ = p.cmd.Wait() // killed
}

// endWithInput ends this process when the one that started it does.
func endWithInput() {
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // nothing comes
		os.Exit(2)
	}()
}

// A publisherArgs describes a publisher in a process of its own.
type publisherArgs struct {
	Server, Dir, StatePath, StateURL, Key string
	Tree                                  int64
	Lease, Interval                       time.Duration
}

func (a *publisherArgs) config() (*trillianlog.Config, error) {
	signer, err := translog.ParseSigner(a.Key)
	if err != nil {
		return nil, err
	}
	cfg := &trillianlog.Config{
		Server: a.Server, Tree: a.Tree, Dir: a.Dir, StatePath: a.StatePath, Signer: signer, CheckpointInterval: a.Interval,
		Lease: a.Lease, Timeout: 10 * time.Second,
	}
	if a.StateURL != "" {
		if cfg.State, err = pgstate.Open(a.StateURL, signer.Name()); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// publisherProcess publishes until it is killed, and says each time when its term changes.
func publisherProcess(args string) error {
	endWithInput()
	var a publisherArgs
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		return err
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	var p *trillianlog.Publisher
	for ctx := context.Background(); p == nil; time.Sleep(50 * time.Millisecond) {
		if p, err = trillianlog.OpenPublisher(ctx, cfg); err != nil && translog.CodeOf(err) != "" {
			return err
		}
	}
	go func() {
		for before := uint64(1 << 60); ; time.Sleep(10 * time.Millisecond) {
			if term := p.Stats().Term; term != before {
				fmt.Println(term)
				before = term
			}
		}
	}()
	return p.Run(context.Background())
}
