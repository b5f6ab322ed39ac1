package mcpverify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// refusalError is what a bridge's client is told: that the server was refused,
// or that it could not be told, and what to do. The codes are those of a guard's
// refusals, outside of what JSON-RPC and MCP keep to themselves.
func refusalError(err error) *jsonrpc.Error {
	var wire *jsonrpc.Error
	var untrusted *serververify.UntrustedError
	var sign *SignError
	switch {
	case errors.As(err, &untrusted):
		message := err.Error()
		if what := advice(untrusted.Code); !strings.Contains(message, "touchmark server") { // it says so itself
			message += ". " + what
		}
		return wireError(mcpwire.CodeDenied, string(untrusted.Code), message)
	case errors.As(err, &sign):
		return wireError(mcpwire.CodeUndetermined, "", fmt.Sprintf("the request was not sent: %v", err))
	case errors.As(err, &wire) && wire.Code != codeNotSent:
		return wire
	}
	code := serververify.CodeOf(err)
	return wireError(mcpwire.CodeUndetermined, string(code), fmt.Sprintf("%v. Try again; if it stays so, see whether the server can be reached from here", err))
}

func wireError(code int64, reason, message string) *jsonrpc.Error {
	e := &jsonrpc.Error{Code: code, Message: message}
	if reason != "" {
		data, err := json.Marshal(mcpwire.Denial{ReasonCode: reason})
		if err != nil {
			panic("mcpverify: internal error: " + err.Error())
		}
		e.Data = data
	}
	return e
}

// lostError is the answer to a request that went out and was not answered.
func lostError(cause error) *jsonrpc.Error {
	return wireError(mcpwire.CodeUndetermined, "", fmt.Sprintf(
		"the connection to the server was lost before it answered: %v. The request may have been carried out: look before you repeat it", cause))
}

// advice says what the user of a refused server can do.
func advice(code serververify.Code) string {
	switch code {
	case serververify.CodePoPFailed:
		return "Somebody may be between you and the server, or a proxy that ends TLS: do not use it from this network, and tell its operator"
	case serververify.CodePoPExpired:
		return "Set the clocks of this machine and of the server"
	case serververify.CodeIdentityMissing, serververify.CodeBadgeMissing:
		return "Ask the server's operator to give it an identity, or connect to it without Touchmark"
	case serververify.CodeIssuerUntrusted, serververify.CodeTrustInsufficient:
		return "If you mean to trust it, say so in the configuration of this command"
	case serververify.CodeBadgeRevoked:
		return "Its operator, or the authority, has withdrawn it: do not use it"
	case serververify.CodeDIDMismatch, serververify.CodeDomainMismatch, serververify.CodePathMismatch:
		return "Compare the address with the one you were given"
	case serververify.CodePinMissing, serververify.CodePinMismatch, serververify.CodePinExpired:
		return "If its operator confirms the new identity, change the pin (touchmark server pin)"
	case serververify.CodeToolsChanged:
		return "Read what changed, and accept it with: touchmark server pin approve"
	case serververify.CodeNotRegistered, serververify.CodeNotAllowed:
		return "Ask who keeps the registry of servers to list it"
	}
	return "Tell the server's operator"
}
