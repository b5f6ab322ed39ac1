package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// An exitCode is what the process ends with. Scripts depend on the values.
type exitCode int

const (
	exitOK           exitCode = 0 // done, or the verdict is yes
	exitRejected     exitCode = 1 // the verdict is no
	exitUsage        exitCode = 2 // wrong usage, malformed input or configuration
	exitUndetermined exitCode = 3 // it could not be told
	exitInternal     exitCode = 4
)

// A failure is an error that knows its exit code, or what to do about it, or
// both.
type failure struct {
	code exitCode // 0: the code of err
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usagef is an error in what was asked for or given: exit code 2.
func usagef(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// rejectedf is the verdict no, where no package has a type for it.
func rejectedf(format string, args ...any) error {
	return &failure{code: exitRejected, err: fmt.Errorf(format, args...)}
}

// undeterminedf is an error that is no verdict: exit code 3. It is one of a family, and takes what the others take.
func undeterminedf(format string, args ...any) error { //nolint:unparam // like its siblings
	return &failure{code: exitUndetermined, err: fmt.Errorf(format, args...)}
}

// hint says what to do next. It returns nil for a nil error.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, hint: fmt.Sprintf(format, args...)}
}

// malformed makes err an error in the input, whatever it is by itself: a DID on
// the command line that cannot be parsed is wrong usage, and no verdict.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return &failure{code: exitUsage, err: err}
}

// codeOf returns the exit code for an error. What no package has a type for is
// an internal error, except for files and connections.
func codeOf(err error) exitCode {
	if err == nil {
		return exitOK
	}
	var f *failure
	for at := err; errors.As(at, &f); at = f.err {
		if f.code != 0 {
			return f.code
		}
	}
	switch {
	case is[*logs.SharedError](err):
		return exitUsage
	case errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR):
		return exitUsage
	case isRejected(err):
		return exitRejected
	case isUndetermined(err):
		return exitUndetermined
	}
	return exitInternal
}

func isRejected(err error) bool {
	return is[*badge.RejectedError](err) || is[*pop.RejectedError](err) || is[*did.DocumentError](err) ||
		is[*did.ParseError](err) || is[*serververify.UntrustedError](err) || is[*levelError](err) || isRefusal(err, false) || is[*guard.DeniedError](err) ||
		is[*evidence.RejectedError](err) || is[*evidence.ChainError](err) || is[*evidence.CorruptError](err) ||
		is[*translog.RejectedError](err) || is[*monitor.ProofError](err) || errors.Is(err, tlogclient.ErrNotFound) || isAuthority(err, true)
}

func isUndetermined(err error) bool {
	return isRefusal(err, true) || isAuthority(err, false) || is[*client.AnswerError](err) || is[*serververify.UndeterminedError](err) || is[*badge.UndeterminedError](err) || is[*did.ResolveError](err) || is[*evidence.UnavailableError](err) || is[*tlogclient.SourceError](err) ||
		is[*monitor.RecordsError](err) ||
		is[*agent.SessionError](err) || is[*logs.UnavailableError](err) || is[*exec.Error](err) || is[*guarded.BrokenError](err) ||
		is[*fs.PathError](err) || is[net.Error](err) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isRefusal reports whether a server refused a call, with a verdict or because
// it could not tell.
func isRefusal(err error, undetermined bool) bool {
	var refused *agent.RefusedError
	return errors.As(err, &refused) && refused.Undetermined() == undetermined
}

// isAuthority reports whether an authority refused, with a verdict or for the time being.
func isAuthority(err error, verdict bool) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && verdict == (refused.Status < 500 && refused.Status != http.StatusTooManyRequests)
}

func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

// Codes of what no package has a code for.
const (
	codeUsage         = "USAGE_INVALID"
	codeUnavailable   = "UNAVAILABLE" // a file, a server or a program
	codeRefused       = "REFUSED"
	codeInternal      = "INTERNAL_ERROR"
	codeEntryNotFound = "LOG_ENTRY_NOT_FOUND"
)

// reasonCode returns the stable code of an error.
func reasonCode(err error) string {
	if code := packageCode(err); code != "" {
		return code
	}
	switch codeOf(err) {
	case exitRejected:
		return codeRefused
	case exitUsage:
		return codeUsage
	case exitUndetermined:
		return codeUnavailable
	}
	return codeInternal
}

// packageCode returns the code that the package has for an error that it came
// from, "" when there is none.
func packageCode(err error) string {
	var untrusted *serververify.UntrustedError
	var denied *guard.DeniedError
	var proof *pop.RejectedError
	var refused *agent.RefusedError
	var unsure *serververify.UndeterminedError
	var authority *client.RefusedError
	switch {
	case errors.As(err, &authority):
		return authority.Code
	case errors.As(err, &refused):
		return refused.Code
	case errors.As(err, &unsure) && unsure.Code != "":
		return string(unsure.Code)
	case is[*levelError](err):
		return codeLevelTooLow
	case errors.As(err, &untrusted):
		return string(untrusted.Code)
	case errors.As(err, &denied):
		return string(denied.Code)
	case errors.As(err, &proof):
		return string(proof.Code)
	case badge.CodeOf(err) != "":
		return string(badge.CodeOf(err))
	case evidence.CodeOf(err) != "":
		return string(evidence.CodeOf(err))
	case errors.Is(err, tlogclient.ErrNotFound):
		return codeEntryNotFound
	case is[*monitor.ProofError](err):
		return string(monitor.CodeProofInvalid)
	}
	return string(translog.CodeOf(err))
}

// nextSteps returns the hints of an error, outermost first.
func nextSteps(err error) []string {
	var hints []string
	for err != nil {
		f := (*failure)(nil)
		if !errors.As(err, &f) {
			break
		}
		if f.hint != "" {
			hints = append(hints, f.hint)
		}
		err = f.err
	}
	return hints
}

// unknownCommand names the nearest command there is.
func unknownCommand(name string, among []*cli.Command, above string) error {
	err := usagef("%s has no command %q", above, name)
	for _, c := range among {
		if !c.Hidden && near(name, c.Name) {
			return hint(err, "did you mean: %s %s", above, c.Name)
		}
	}
	return hint(err, "see: %s --help", above)
}

// near reports whether one word is the other with one letter added, dropped,
// changed or exchanged with its neighbour, or begins it.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) >= 2 && strings.HasPrefix(b, a) {
		return true
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch ra, rb := a[i:], b[i:]; len(b) - len(a) {
	case 0:
		return ra == "" || ra[1:] == rb[1:] || len(ra) > 1 && ra[0] == rb[1] && ra[1] == rb[0] && ra[2:] == rb[2:]
	case 1:
		return ra == rb[1:]
	}
	return false
}

// findCommand looks a command up by name or alias.
func findCommand(commands []*cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return commands[i]
}
