package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// codeURLElicitation is the error by which a server of 2025-11-25 asks the
// client to send its user somewhere.
const codeURLElicitation = -32042

// A resultError says that the upstream answered with something that is not
// passed on.
type resultError struct{ err error }

func (e *resultError) Error() string { return "the upstream's answer: " + e.err.Error() }

// readResult takes apart what the upstream answered, without the members of
// _meta that are the gateway's to write. An answer that asks the client for
// something is refused like a request that does: a client would see no
// difference. A call may be answered with the wish to be made again.
func readResult(raw json.RawMessage, again bool) (object, error) {
	result, err := parseObject(raw)
	if err == nil {
		err = result.checkComplete(again)
	}
	if err == nil {
		_, err = stripMeta(result)
	}
	if err != nil {
		return nil, &resultError{err}
	}
	return result, nil
}

// checkComplete refuses a result that is not one yet. Names are compared as the
// least careful client might.
func (o object) checkComplete(again bool) error {
	for name, value := range o {
		switch {
		case strings.EqualFold(name, "inputRequests"):
			var requests object
			if err := strictjson.Unmarshal(value, &requests); err != nil || len(requests) > 0 {
				return errors.New("it asks the client for something")
			}
		case strings.EqualFold(name, "resultType"):
			text := string(value)
			if text != `"complete"` && (text != `"input_required"` || !again) {
				return errors.New("it is of a type that was not asked for")
			}
		}
	}
	return nil
}

// hasNoMethod reports whether err is an upstream's word that it does not know a method.
func hasNoMethod(err error) bool {
	var fromUpstream *upstreamError
	if !errors.As(err, &fromUpstream) {
		return false
	}
	var e struct {
		Code *int64 `json:"code"`
	}
	return strictjson.Unmarshal(fromUpstream.raw, &e) == nil && e.Code != nil && *e.Code == codeMethodNotFound
}

// checkError refuses an error that is none, one that only the guard gives, and
// one that asks the client for something.
func checkError(raw json.RawMessage) error {
	var e struct {
		Code    *int64  `json:"code"`
		Message *string `json:"message"`
	}
	if err := strictjson.Unmarshal(raw, &e); err != nil || e.Code == nil || e.Message == nil {
		return errors.New("its error has no code and message")
	}
	switch *e.Code {
	case mcpwire.CodeDenied, mcpwire.CodeUndetermined, codeURLElicitation:
		return fmt.Errorf("its error has the code %d, which is not passed on", *e.Code)
	}
	return nil
}

// outcomeOf says how a call ended of which result is the answer, or err the
// reason that there is none.
func outcomeOf(ctx context.Context, result object, err error) guard.Outcome {
	var fromUpstream *upstreamError
	var unfit *resultError
	switch {
	case err == nil:
	case errors.As(err, &fromUpstream):
		return guard.Outcome{ErrorClass: classUpstream, Size: int64(len(fromUpstream.raw))}
	case errors.As(err, &unfit):
		return guard.Outcome{ErrorClass: classMalformedResult}
	case errors.Is(err, errUpstreamGone):
		return guard.Outcome{ErrorClass: classUpstreamGone}
	default:
		return guard.Outcome{ErrorClass: guard.ClassOf(ctx, err)}
	}
	o := guard.Outcome{Result: result.octets()}
	o.Size = int64(len(o.Result) + len(result["_meta"]))
	switch {
	case string(result["resultType"]) == `"input_required"`:
		o.InputRequired = true
	case string(result["isError"]) == "true":
		o.ErrorClass = classToolError
	}
	return o
}

// octets is what an outcome commits to: the RFC 8785 form of the result without
// its _meta. A result without such a form is committed to as it is encoded.
func (o object) octets() []byte {
	bare := make(object, len(o))
	for name, value := range o {
		if name != "_meta" {
			bare[name] = value
		}
	}
	text := bare.encode()
	if canonical, err := jcs.Canonicalize(text); err == nil {
		return canonical
	}
	return text
}

// private says of a result that is cached that it is for one caller.
func (o object) private() {
	if o["ttlMs"] != nil || o["cacheScope"] != nil {
		o["cacheScope"] = json.RawMessage(`"private"`)
	}
}

// addEvidence names the record of a decision in a result that readResult took
// apart, whose _meta is an object or absent.
func (o object) addEvidence(ack *evidence.Ack) {
	meta, err := o.child("_meta")
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	meta[mcpwire.MetaEvidence] = evidenceMeta(ack)
	o["_meta"] = meta.encode()
}
