package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

func (g *Gateway) answer(m *message, result json.RawMessage) {
	if err := g.client.reply(m.ID, result); err != nil {
		g.log.Warn("gateway: writing to the client", "error", err)
	}
}

func (g *Gateway) answerError(id json.RawMessage, e *wireError) {
	if err := g.client.refuse(id, e); err != nil {
		g.log.Warn("gateway: writing to the client", "error", err)
	}
}

// answerRefusal tells the client what the guard decided. What is hidden from the
// caller, and what does not exist, get the same answer to the letter: not even the
// id of a record is in it.
func (g *Gateway) answerRefusal(m *message, r guard.Refusal, about guard.Capability) {
	if r.Hidden {
		if absent := notFound(m.Method, about.Name); absent != nil {
			g.answerError(m.ID, absent)
			return
		}
		r = guard.Refusal{Code: guard.CodeNotFound, EvidenceID: r.EvidenceID}
	}
	code := int64(mcpwire.CodeDenied)
	if r.Undetermined() {
		code = mcpwire.CodeUndetermined
	}
	g.answerError(m.ID, &wireError{
		Code: code, Message: fmt.Sprintf("%s: %s", r.Code, r.Reason()), Data: refusalData(r),
	})
}

// notFound is what a server answers for what it does not have, and nil for methods
// without such an answer (spec/guard.md section 7.4).
func notFound(method, name string) *wireError {
	switch method {
	case "tools/call":
		return &wireError{Code: codeInvalidParams, Message: fmt.Sprintf("unknown tool %q", name)}
	case "prompts/get":
		return &wireError{Code: codeInvalidParams, Message: fmt.Sprintf("unknown prompt %q", name)}
	case "resources/read":
		data, err := json.Marshal(map[string]string{"uri": name})
		if err != nil {
			panic("gateway: internal error: " + err.Error())
		}
		return &wireError{Code: codeInvalidParams, Message: "Resource not found", Data: data}
	}
	return nil
}

// answerUpstreamError passes on the error that the upstream answered with, and
// says no more of any other than that there was one.
func (g *Gateway) answerUpstreamError(m *message, err error) {
	var fromUpstream *upstreamError
	if errors.As(err, &fromUpstream) {
		err = checkError(fromUpstream.raw)
	}
	if err == nil {
		if werr := g.client.write(&message{ID: m.ID, Error: fromUpstream.raw}); werr != nil {
			g.log.Warn("gateway: writing to the client", "error", werr)
		}
		return
	}
	g.log.Warn("gateway: upstream", "method", clip(m.Method), "error", err)
	g.answerError(m.ID, &wireError{Code: codeInternalError, Message: "the upstream server did not answer"})
}

// refusalData is the data member of the error by which a refusal is told.
func refusalData(r guard.Refusal) json.RawMessage {
	b, err := json.Marshal(mcpwire.Denial{ReasonCode: string(r.Code), Cause: r.Cause, DecisionID: r.EvidenceID, RetryAfterMS: milliseconds(r.RetryAfter)})
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	return b
}

// milliseconds rounds up: who tries again earlier is refused again.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func evidenceMeta(ack *evidence.Ack) json.RawMessage {
	b, err := json.Marshal(mcpwire.Evidence{
		ID:       ack.ID,
		LeafHash: "sha256:" + base64.RawURLEncoding.EncodeToString(ack.LeafHash[:]),
		Promise:  ack.Promise,
		Entry:    string(ack.Entry),
	})
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	return b
}
