package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// asks is exits for a gateway or a bridge with a client, which sends the messages in a file, a line each: every request when
// the one before it is answered. It goes when all are: asks CODE FILE ARG... . Who has its input from stdin goes at once
// instead, and is not waited for as long as a slow machine may take.
func asks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: asks CODE FILE ARG...")
	}
	ends(ts, args[0], "asker", append([]string{args[1], "touchmark"}, args[2:]...)...)
}

// askerPatience is for a server that does not answer: the script then finds that there is none.
const askerPatience = 2 * time.Minute

// asker is the program `asker` of the scripts: asker FILE CMD ARG... .
func asker() {
	code, err := ask(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "asker:", err)
		code = 125
	}
	os.Exit(code)
}

// ask runs a command as asks says, and returns its exit code.
func ask(file string, line []string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	leave := sync.OnceFunc(func() { _ = in.Close() })
	defer time.AfterFunc(askerPatience, leave).Stop()
	answered := make(chan struct{}, bytes.Count(text, []byte("\n"))+1)
	heard := make(chan error, 1)
	go func() {
		defer close(answered)
		heard <- pass(out, answered)
	}()
	for message := range bytes.Lines(text) {
		var m struct{ ID, Method json.RawMessage }
		_ = json.Unmarshal(message, &m) // what is no message is sent, too
		if _, err := in.Write(message); err != nil {
			break // it has ended
		}
		if m.ID != nil && m.Method != nil {
			<-answered
		}
	}
	leave()
	err = <-heard
	var exit *exec.ExitError
	if werr := cmd.Wait(); werr != nil && !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	return cmd.ProcessState.ExitCode(), err
}

// pass prints what a server says, and tells of each answer in it.
func pass(out io.Reader, answered chan<- struct{}) error {
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadBytes('\n')
		if _, werr := os.Stdout.Write(line); werr != nil {
			return werr
		}
		if err != nil {
			if err == io.EOF { //nolint:errorlint // as ReadBytes returns it
				err = nil
			}
			return err
		}
		var m struct{ ID, Method json.RawMessage }
		if json.Unmarshal(line, &m) == nil && m.ID != nil && m.Method == nil {
			select {
			case answered <- struct{}{}:
			default: // more than there were requests
			}
		}
	}
}
