package mcpguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// The JSON-RPC codes of refusals, outside the range that JSON-RPC and MCP reserve (spec/guard.md section 7.3).
const (
	CodeDenied       = mcpwire.CodeDenied       // examined and refused
	CodeUndetermined = mcpwire.CodeUndetermined // could not be told, and so refused; may be tried again later
)

// refuse records a request that could not be checked because of err, and returns the error that answers it.
func (a *Adapter) refuse(ctx context.Context, r *guard.Request, err error) error {
	code, cause := guard.CodeGuardFailed, ""
	var malformed *mcpwire.Error
	switch {
	case errors.Is(err, errArguments):
		code, cause = guard.CodeRequestMalformed, guard.CauseParamsMalformed
	case errors.As(err, &malformed):
		code, cause = guard.CodeRequestMalformed, malformed.Cause()
	default:
		a.log.Error("mcpguard: request", "method", r.Method, "error", err)
	}
	return a.wireError(r, a.guard.Refuse(ctx, r, code, cause))
}

// wireError returns the JSON-RPC error for the error of a guard. What is hidden gets the answer that the SDK
// gives for what does not exist.
func (a *Adapter) wireError(r *guard.Request, err error) error {
	refusal := guard.RefusalOf(err)
	if refusal.Hidden && !a.explain {
		if absent := notFound(r); absent != nil {
			return absent
		}
		refusal = guard.Refusal{Code: guard.CodeNotFound, EvidenceID: refusal.EvidenceID}
	}
	return denial(refusal)
}

// denial returns the JSON-RPC error that tells a refusal.
func denial(refusal guard.Refusal) error {
	code := int64(CodeDenied)
	if refusal.Undetermined() {
		code = CodeUndetermined
	}
	data, err := json.Marshal(mcpwire.Denial{
		ReasonCode: string(refusal.Code), Cause: refusal.Cause, DecisionID: refusal.EvidenceID,
		RetryAfterMS: retryAfter(refusal.RetryAfter),
	})
	if err != nil {
		return errInternal
	}
	return &jsonrpc.Error{Code: code, Message: fmt.Sprintf("%s: %s", refusal.Code, refusal.Reason()), Data: data}
}

// notFound returns what the SDK's server answers when something does not exist, and nil for methods that have
// no such answer. A test compares it with the SDK's, octet by octet.
func notFound(r *guard.Request) error {
	if r == nil {
		return nil
	}
	switch r.Method {
	case methodCallTool:
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown tool %q", r.Capability.Name)}
	case methodGetPrompt:
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown prompt %q", r.Capability.Name)}
	case methodReadResource:
		return mcp.ResourceNotFoundError(r.Capability.Name)
	}
	if guard.MethodNamed(r.Method).Kind == guard.KindTask {
		return errNoTask
	}
	return nil
}

// retryAfter is a time in milliseconds, rounded up; 0 for none.
func retryAfter(d time.Duration) int64 {
	return max(0, (d + time.Millisecond - 1).Milliseconds())
}
