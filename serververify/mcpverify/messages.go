package mcpverify

import (
	"crypto/rand"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Methods that are looked at beside those of the handshake.
const (
	methodInitialized  = "notifications/initialized"
	methodCancelled    = "notifications/cancelled"
	methodToolsList    = "tools/list"
	methodToolsCall    = "tools/call"
	methodToolsChanged = "notifications/tools/list_changed"
	methodSubscribed   = "notifications/subscriptions/acknowledged" // changes are announced from here on
)

// ownID returns the id of a request of this package's own. It is one that no
// session that shares the connection comes upon, and no other such connection in
// front of this one.
func ownID(what string) jsonrpc.ID {
	id, err := jsonrpc.MakeID("touchmark-" + what + "-" + rand.Text())
	if err != nil {
		panic("mcpverify: internal error: a string is no id")
	}
	return id
}

// requestVersion returns the version that a request of the newer generation
// names in its `_meta`, "" for others.
func requestVersion(req *jsonrpc.Request) string {
	var p struct {
		Meta map[string]json.RawMessage `json:"_meta"`
	}
	if len(req.Params) == 0 || json.Unmarshal(req.Params, &p) != nil {
		return ""
	}
	var version string
	if json.Unmarshal(p.Meta[mcp.MetaKeyProtocolVersion], &version) != nil {
		return ""
	}
	return version
}

// resultVersion returns the version that the result of initialize settles on.
func resultVersion(result json.RawMessage) string {
	var r struct {
		Version string `json:"protocolVersion"`
	}
	if json.Unmarshal(result, &r) != nil {
		return ""
	}
	return r.Version
}

// cancelledID returns the request that notifications/cancelled is about.
func cancelledID(params json.RawMessage) (jsonrpc.ID, bool) {
	var p struct {
		RequestID any `json:"requestId"`
	}
	if json.Unmarshal(params, &p) != nil {
		return jsonrpc.ID{}, false
	}
	id, err := jsonrpc.MakeID(p.RequestID)
	return id, err == nil && id.IsValid()
}

// protocolMeta returns the members of a request's `_meta` that every request of
// the newer generation has: version, client and what it can do.
func protocolMeta(params json.RawMessage) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage)
	_, meta, err := callMembers(params)
	if err != nil {
		return out
	}
	for _, name := range []string{mcp.MetaKeyProtocolVersion, mcp.MetaKeyClientInfo, mcp.MetaKeyClientCapabilities} {
		if value, ok := meta[name]; ok {
			out[name] = value
		}
	}
	return out
}
