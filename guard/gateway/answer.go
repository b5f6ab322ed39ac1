package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

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

// answerRefusal tells the client what the guard decided. A tool that is hidden
// from the caller, and one that does not exist, get the same answer to the
// letter: not even the id of a record is in it.
func (g *Gateway) answerRefusal(m *message, r guard.Refusal, tool string) {
	if r.Hidden {
		g.answerError(m.ID, &wireError{Code: codeInvalidParams, Message: fmt.Sprintf("unknown tool %q", tool)})
		return
	}
	code := int64(mcpwire.CodeDenied)
	if r.Undetermined() {
		code = mcpwire.CodeUndetermined
	}
	g.answerError(m.ID, &wireError{
		Code: code, Message: fmt.Sprintf("%s: %s", r.Code, r.Reason()), Data: refusalData(r),
	})
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
	b, err := json.Marshal(mcpwire.Denial{ReasonCode: string(r.Code), Cause: r.Cause, DecisionID: r.EvidenceID})
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	return b
}

func evidenceMeta(ack *evidence.Ack) json.RawMessage {
	b, err := json.Marshal(mcpwire.Evidence{
		ID:       ack.ID,
		LeafHash: "sha256:" + base64.RawURLEncoding.EncodeToString(ack.LeafHash[:]),
		Promise:  ack.Promise,
	})
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	return b
}
