package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// A Process is an upstream server that [Start] launched.
type Process struct {
	Pipe // what the server says on its standard output, and hears on its standard input

	cmd *exec.Cmd
}

// Start launches cmd with its standard input and output as a [Pipe]; cmd's own
// Stdin and Stdout must be nil. Standard error goes where cmd says.
func Start(cmd *exec.Cmd) (*Process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // so that Stop reaches what the server started, npx for one
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = drainTime // standard error, too, can be held by somebody else
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("gateway: starting the upstream server %q: %w", cmd.Path, err)
	}
	return &Process{Pipe: Pipe{R: out, W: in}, cmd: cmd}, nil
}

// Stop ends the server: its input is closed, and when it has not ended after
// grace, or ctx has, it is killed with its process group. What left the group
// and still holds the server's output is not waited for. An exit code of the
// server is not an error of Stop: it was told to end.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	_ = p.W.Close() // an input that is closed already is closed
	done := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, p.R) // Wait closes the pipe; whoever read it has stopped
		done <- p.cmd.Wait()
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		err = p.kill(done)
	case <-ctx.Done():
		err = p.kill(done)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("gateway: the upstream server: %w", err)
	}
	return nil
}

// kill ends the server and everything in its process group, and returns what
// done tells.
func (p *Process) kill(done <-chan error) error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C: // somebody else holds the other end of the pipe
	}
	if r, ok := p.R.(io.Closer); ok {
		_ = r.Close()
	}
	return <-done
}
