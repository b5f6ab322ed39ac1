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
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("gateway: starting the upstream server %q: %w", cmd.Path, err)
	}
	return &Process{Pipe: Pipe{R: out, W: in}, cmd: cmd}, nil
}

// Stop ends the server: its input is closed, and when it has not ended after
// grace, or ctx has, it is killed. An exit code of the server is not an error
// of Stop: it was told to end.
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
		p.kill()
		err = <-done
	case <-ctx.Done():
		p.kill()
		err = <-done
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("gateway: the upstream server: %w", err)
	}
	return nil
}

// kill ends the server and everything in its process group.
func (p *Process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
