package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/guarded"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// Each class of error has one exit code and one code for programs, however deep
// it is wrapped.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit exitCode
		code string
	}{
		{usagef("x"), exitUsage, codeUsage},
		{malformed(&badge.RejectedError{Code: badge.CodeMalformed}), exitUsage, "BADGE_MALFORMED"},
		{malformed(errors.New("x")), exitUsage, codeUsage},
		{&fs.PathError{Op: "read", Path: "d", Err: syscall.EISDIR}, exitUsage, codeUsage},
		{&fs.PathError{Op: "open", Path: "f/x", Err: syscall.ENOTDIR}, exitUsage, codeUsage},

		{rejectedf("x"), exitRejected, codeRefused},
		{&badge.RejectedError{Code: badge.CodeExpired}, exitRejected, "BADGE_EXPIRED"},
		{&levelError{}, exitRejected, codeLevelTooLow},
		{&pop.RejectedError{Code: pop.CodeReplayed}, exitRejected, "CALL_PROOF_REPLAYED"},
		{&did.DocumentError{}, exitRejected, codeRefused},
		{&did.ParseError{}, exitRejected, codeRefused},
		{&serververify.UntrustedError{Code: serververify.CodePoPFailed}, exitRejected, "SERVER_POP_FAILED"},
		{&guard.DeniedError{Refusal: guard.Refusal{Code: guard.CodeMethodDenied}}, exitRejected, string(guard.CodeMethodDenied)},
		{&agent.RefusedError{Code: "TOOL_NOT_FOUND"}, exitRejected, "TOOL_NOT_FOUND"},
		{&agent.RefusedError{}, exitRejected, codeRefused},
		{&evidence.RejectedError{Code: evidence.CodeMalformed}, exitRejected, "EVIDENCE_MALFORMED"},
		{&evidence.ChainError{Code: evidence.CodeGap}, exitRejected, "EVIDENCE_GAP"},
		{&evidence.CorruptError{}, exitRejected, codeRefused},
		{&translog.RejectedError{Code: translog.CodeForked}, exitRejected, "LOG_FORKED"},
		{tlogclient.ErrNotFound, exitRejected, codeEntryNotFound},

		{undeterminedf("x"), exitUndetermined, codeUnavailable},
		{&badge.UndeterminedError{Code: badge.CodeRevocationCheckFailed}, exitUndetermined, "REVOCATION_CHECK_FAILED"},
		{&did.ResolveError{}, exitUndetermined, codeUnavailable},
		{&serververify.UndeterminedError{Code: serververify.CodeKeyFetchFailed}, exitUndetermined, "SERVER_KEY_FETCH_FAILED"},
		{&serververify.UndeterminedError{}, exitUndetermined, codeUnavailable},
		{&evidence.UnavailableError{}, exitUndetermined, codeUnavailable},
		{&tlogclient.SourceError{Err: errors.New("x")}, exitUndetermined, codeUnavailable},
		{&agent.RefusedError{RPCCode: mcpwire.CodeUndetermined, Code: "GUARD_FAILED"}, exitUndetermined, "GUARD_FAILED"},
		{&agent.SessionError{Target: "t"}, exitUndetermined, codeUnavailable},
		{&guarded.BrokenError{}, exitUndetermined, codeUnavailable},
		{&exec.Error{Name: "x", Err: exec.ErrNotFound}, exitUndetermined, codeUnavailable},
		{&fs.PathError{Op: "open", Path: "f", Err: fs.ErrNotExist}, exitUndetermined, codeUnavailable},
		{&fs.PathError{Op: "open", Path: "f", Err: fs.ErrPermission}, exitUndetermined, codeUnavailable},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, exitUndetermined, codeUnavailable},
		{context.DeadlineExceeded, exitUndetermined, codeUnavailable},
		{context.Canceled, exitUndetermined, codeUnavailable},

		{errors.New("x"), exitInternal, codeInternal},
	} {
		for depth, err := range []error{
			c.err, fmt.Errorf("more: %w", c.err), hint(c.err, "do this"), hint(hint(c.err, "b"), "a"), errors.Join(c.err, nil),
		} {
			if got := codeOf(err); got != c.exit {
				t.Errorf("%T, wrapping %d: exit code %d, want %d", c.err, depth, got, c.exit)
			}
			if got := reasonCode(err); got != c.code {
				t.Errorf("%T, wrapping %d: code %q, want %q", c.err, depth, got, c.code)
			}
		}
	}
	if codeOf(nil) != exitOK || hint(nil, "x") != nil || malformed(nil) != nil {
		t.Error("nil is an error")
	}
}

// Only what was examined and refused is rejected; everything else was not judged.
func TestVerdicts(t *testing.T) {
	for exit, err := range map[exitCode]error{
		exitRejected: rejectedf("no"), exitUsage: usagef("no"), exitUndetermined: undeterminedf("no"), exitInternal: errors.New("no"),
	} {
		want := verdictUndetermined
		if exit == exitRejected {
			want = verdictRejected
		}
		if v := verdictOf(err); v.Verdict != want || v.Code == "" || v.Reason != "no" {
			t.Errorf("exit code %d: %+v", exit, v)
		}
	}
	v := verdictOf(&serververify.UntrustedError{
		Code: serververify.CodeTrustInsufficient, State: serververify.StateDeclared, DID: did.MustParse("did:web:a.example"),
		BadgeValid: true, BadgeID: "id", Level: badge.LevelDomain,
	})
	if v.State != "DECLARED_PRINCIPAL" || v.DID != "did:web:a.example" || v.Badge != "valid" || v.BadgeID != "id" || v.Level != "2" {
		t.Errorf("%+v", v)
	}
	if v := verdictOf(&serververify.UntrustedError{State: serververify.StateUnverified}); v.DID != "" || v.Badge != "" || v.Level != "" {
		t.Errorf("%+v", v)
	}
}

func TestNextSteps(t *testing.T) {
	err := hint(fmt.Errorf("outer: %w", hint(usagef("inner"), "second")), "first")
	if got := nextSteps(err); !slices.Equal(got, []string{"first", "second"}) || codeOf(err) != exitUsage || err.Error() != "outer: inner" {
		t.Errorf("%q, exit code %d, %v", got, codeOf(err), err)
	}
	if got := nextSteps(errors.New("x")); got != nil {
		t.Errorf("%q", got)
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"badge", "badge", true}, {"bagde", "badge", true}, {"bdge", "badge", true}, {"baddge", "badge", true}, {"bodge", "badge", true},
		{"ba", "badge", true}, {"b", "badge", false}, {"egdab", "badge", false}, {"", "badge", false}, {"key", "log", false},
		{"call", "calls", true}, {"gateway", "getawey", false},
	} {
		if near(c.a, c.b) != c.want || near(c.b, c.a) != c.want {
			t.Errorf("%q and %q: want %t", c.a, c.b, c.want)
		}
	}
}
