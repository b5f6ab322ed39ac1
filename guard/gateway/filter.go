package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The members of a request's _meta that are spoken between the caller and the
// guard. None of them goes on to the upstream server: a badge that a hostile
// server sees is a badge that it may try to use elsewhere.
var privateMetaPrefixes = []string{"capiscio_", "dev.touchmark/"}

// object is a JSON object whose members are kept as they came.
type object map[string]json.RawMessage

func parseObject(raw json.RawMessage) (object, error) {
	if len(raw) == 0 {
		return object{}, nil
	}
	var o object
	if err := strictjson.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("want an object, have null")
	}
	return o, nil
}

func (o object) encode() json.RawMessage {
	b, err := json.Marshal(o)
	if err != nil {
		panic("gateway: internal error: " + err.Error()) // members were parsed, so they encode
	}
	return b
}

// str returns member name as a string, "" when it is absent.
func (o object) str(name string) (string, error) {
	raw, ok := o[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := strictjson.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("member %q is not a string", name)
	}
	return *s, nil
}

func (o object) child(name string) (object, error) { return parseObject(o[name]) }

// values returns the members as they decode; what does not is nil.
func (o object) values() map[string]any {
	out := make(map[string]any, len(o))
	for name, raw := range o {
		var v any
		if err := strictjson.Unmarshal(raw, &v); err != nil {
			v = nil // there, and no string
		}
		out[name] = v
	}
	return out
}

// only returns the members of o that have one of these names.
func (o object) only(names ...string) object {
	out := make(object, len(names)+2)
	for _, name := range names {
		if value, ok := o[name]; ok {
			out[name] = value
		}
	}
	return out
}

// has reports whether o has no members but those of these names.
func (o object) has(names ...string) bool {
	for name := range o {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// stripMeta removes from params what is meant for the guard alone and returns
// the _meta as it was.
func stripMeta(params object) (object, error) {
	meta, err := params.child("_meta")
	if err != nil {
		return nil, fmt.Errorf("member _meta: %w", err)
	}
	if len(meta) == 0 {
		return meta, nil
	}
	rest := make(object, len(meta))
	for k, v := range meta {
		if !isPrivateMeta(k) {
			rest[k] = v
		}
	}
	params["_meta"] = rest.encode()
	return meta, nil
}

func isPrivateMeta(key string) bool {
	for _, p := range privateMetaPrefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// clientCapabilitiesKey is where a 2026-07-28 request states what its client
// can do.
const clientCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities"

// narrowClient takes from a request what its client can do: by any of it an
// upstream server could turn around and ask the client for something, its
// roots, a completion of its model, an answer of its user, or answer a call with
// a task. Nothing guards that direction, so the upstream never learns that it
// exists.
func narrowClient(params object) error {
	if raw, ok := params["capabilities"]; ok { // initialize
		if _, err := parseObject(raw); err != nil {
			return fmt.Errorf("member capabilities: %w", err)
		}
		params["capabilities"] = json.RawMessage(`{}`)
	}
	meta, err := params.child("_meta")
	if err != nil {
		return fmt.Errorf("member _meta: %w", err)
	}
	raw, ok := meta[clientCapabilitiesKey]
	if !ok {
		return nil
	}
	if _, err := parseObject(raw); err != nil {
		return fmt.Errorf("member %q of _meta: %w", clientCapabilitiesKey, err)
	}
	meta[clientCapabilitiesKey] = json.RawMessage(`{}`)
	params["_meta"] = meta.encode()
	return nil
}

// narrowServer leaves in a handshake's result only the capabilities that the
// gateway guards, and adds the guard's own extension.
func narrowServer(result, extensions object) error {
	caps, err := result.child("capabilities")
	if err != nil {
		return fmt.Errorf("member capabilities: %w", err)
	}
	kept := caps.only("tools", "completions")
	for _, name := range []string{"prompts", "resources"} {
		if _, ok := caps[name]; !ok {
			continue
		}
		capability, err := caps.child(name)
		if err != nil {
			return fmt.Errorf("member %s of capabilities: %w", name, err)
		}
		kept[name] = capability.only("listChanged").encode() // and no subscriptions
	}
	kept["extensions"] = extensions.encode()
	result["capabilities"] = kept.encode()
	return nil
}
