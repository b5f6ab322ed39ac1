package mcpverify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/serververify"
)

// The methods whose results carry the server's identity.
const (
	methodInitialize = "initialize"
	methodDiscover   = "server/discover"
)

// Discloses reports whether the result of method is to carry the server's
// identity: initialize, server/discover and dev.touchmark/identify.
func Discloses(method string) bool {
	return method == methodInitialize || method == methodDiscover || method == mcpwire.MethodIdentify
}

// DiscloseRaw adds the identity id to the result of a request, and the answer
// to the challenge in the request's params when there is one. It is for
// messages that came over stdio: over HTTP the proof is made at that layer, and
// id.Stdio is not set. Whatever the result said about identity before is
// replaced. Results of other methods are returned as they are.
func DiscloseRaw(ctx context.Context, id *serververify.Identity, method string, params, result json.RawMessage) (json.RawMessage, error) {
	if !Discloses(method) {
		return result, nil
	}
	nonce, err := rawText(params, mcpwire.MetaNonce)
	if err != nil {
		return nil, err
	}
	members, meta, err := rawObject(result)
	if err != nil {
		return nil, fmt.Errorf("mcpverify: result of %q: %w", method, err)
	}
	d := disclose(ctx, id, nonce)
	for name, text := range disclosureMembers(d) {
		delete(meta, name)
		if text != "" {
			meta[name] = quote(text)
		}
	}
	published, err := rawText(params, mcpwire.MetaPublishedNonce)
	if err != nil {
		return nil, err
	}
	answered := answerPublished(id, published)
	for _, name := range []string{mcpwire.MetaPublishedSignature, mcpwire.MetaPublishedSignedAt} {
		if delete(meta, name); answered != nil {
			meta[name] = answered[name]
		}
	}
	if members["_meta"], err = marshal(meta); err != nil {
		return nil, err
	}
	if method == methodDiscover && d.Proof != "" {
		members["ttlMs"], members["cacheScope"] = json.RawMessage("0"), quote("private")
	}
	return marshal(members)
}

// IdentifyRaw answers a request of the method dev.touchmark/identify, with
// which a client challenges the server again. It is not passed on: who
// discloses an identity answers for it.
func IdentifyRaw(ctx context.Context, id *serververify.Identity, params json.RawMessage) (json.RawMessage, error) {
	return DiscloseRaw(ctx, id, mcpwire.MethodIdentify, params, json.RawMessage(`{"resultType":"complete"}`))
}

// disclose is the disclosure of id, with the answer to nonce unless it is "".
func disclose(ctx context.Context, id *serververify.Identity, nonce string) serververify.Disclosure {
	if nonce == "" {
		return id.Disclose(ctx)
	}
	return id.AnswerStdio(ctx, nonce)
}

// disclosureMembers are the members of `_meta` for d.
func disclosureMembers(d serververify.Disclosure) map[string]string {
	return map[string]string{
		mcpwire.MetaServerDID: d.DID, mcpwire.MetaServerBadge: d.Badge, mcpwire.MetaServerProof: d.Proof,
	}
}

// rawText returns a member of `_meta` in the params of a request that is a
// string, "" for none.
func rawText(params json.RawMessage, name string) (string, error) {
	if len(params) == 0 {
		return "", nil
	}
	_, meta, err := rawObject(params)
	if err != nil {
		return "", fmt.Errorf("mcpverify: params: %w", err)
	}
	return metaText(meta, name)
}

// metaText returns a member of `_meta` that is a string, "" when it is absent.
func metaText(meta map[string]json.RawMessage, name string) (string, error) {
	raw, ok := meta[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := strictjson.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("mcpverify: _meta member %q is not a string", name)
	}
	return *s, nil
}

// rawObject returns the members of an object and of its `_meta`, which is made
// when there is none.
func rawObject(data json.RawMessage) (members, meta map[string]json.RawMessage, err error) {
	if err := strictjson.Unmarshal(data, &members); err != nil {
		return nil, nil, err
	}
	if members == nil {
		return nil, nil, errors.New("null is not an object")
	}
	if raw, ok := members["_meta"]; ok {
		if err := strictjson.Unmarshal(raw, &meta); err != nil {
			return nil, nil, fmt.Errorf("_meta: %w", err)
		}
	}
	if meta == nil {
		meta = make(map[string]json.RawMessage)
	}
	return members, meta, nil
}

func quote(s string) json.RawMessage {
	data, err := marshal(s)
	if err != nil {
		panic("mcpverify: internal error: a string does not marshal")
	}
	return data
}

// marshal is json.Marshal without a second escaping of what others wrote.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("mcpverify: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
