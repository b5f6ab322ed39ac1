package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

const helperEnv = "TOUCHMARK_TEST_UPSTREAM"

// TestHelperUpstream is no test but the upstream of TestStopIsNotHeldUp: it
// leaves behind a process that holds its output and is in no group of its own.
func TestHelperUpstream(t *testing.T) {
	if os.Getenv(helperEnv) == "" {
		t.Skip("only as a helper")
	}
	cmd := exec.CommandContext(context.Background(), "sleep", "60")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(cmd.Process.Pid)
	os.Exit(0)
}

func TestStopIsNotHeldUp(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestHelperUpstream$")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(p.R, &pid); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(t.Context(), time.Millisecond) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(40 * time.Second):
		t.Fatal("Stop waits for a process that left the group")
	}
}

// A client that takes no answers does not keep the gateway from ending.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := guardtest.New(t)
	g, err := New(&Config{Guard: w.Guard()})
	if err != nil {
		t.Fatal(err)
	}
	clientSays, fromClient := pipe(t)
	_, gatewaySays := io.Pipe() // nobody reads
	_, toServer := pipe(t)
	fromServer, _ := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx, Pipe{clientSays, gatewaySays}, Pipe{fromServer, toServer}) }()
	s := newStream(nil, fromClient)
	if err := s.write(&message{ID: json.RawMessage("1"), Method: "x/y"}); err != nil {
		t.Fatal(err)
	}
	for len(w.Recorder.Decisions()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(40 * time.Second):
		t.Fatal("the gateway does not end")
	}
}

// An upstream that answers nothing does not keep the gateway from hearing its
// client.
func TestUpstreamThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.w.Agent(badge.LevelExtended)
	r.listed(a)
	r.server.answer = func(*message) *message { return nil }
	const more = 5
	for i := range MaxInFlight + more {
		id := json.RawMessage(fmt.Sprint(1000 + i))
		if err := r.client.write(&message{ID: id, Method: "tools/call", Params: json.RawMessage(`{"name":"hello"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for range MaxInFlight { // whose turn it was
		<-r.server.seen
	}
	cancel := &message{Method: "notifications/cancelled", Params: json.RawMessage(fmt.Sprintf(`{"requestId":%d}`, 1000+MaxInFlight+more-1))}
	if err := r.client.write(cancel); err != nil {
		t.Fatal(err)
	}
	m, err := r.client.read()
	if err != nil || len(m.Error) == 0 {
		t.Errorf("answered %+v, %v", m, err)
	}
	go func() {
		for {
			if _, err := r.client.read(); err != nil {
				return
			}
		}
	}()
	r.hangUp()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if n := r.w.Recorder.Open(); n != 0 {
		t.Errorf("%d calls without an outcome", n)
	}
	if n := len(r.w.Recorder.Decisions()); n != 1+MaxInFlight+more {
		t.Errorf("%d decisions", n)
	}
}
