package mcpverify

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// addPublished adds the published challenge, which is the same nonce under
// another name. The time says nothing that is checked: it is of the format.
func addPublished(meta map[string]json.RawMessage, nonce string) {
	meta[mcpwire.MetaPublishedNonce] = quote(nonce)
	meta[mcpwire.MetaPublishedCreatedAt] = json.RawMessage(strconv.FormatInt(time.Now().Unix(), 10))
}

// challengePublished adds the published challenge to a handshake over HTTP, and
// keeps the nonce for the answer.
func (c *httpConn) challengePublished(req *jsonrpc.Request) (*jsonrpc.Request, error) {
	if !c.published || !req.IsCall() || req.Method != methodInitialize && req.Method != methodDiscover {
		return req, nil
	}
	members, meta, err := callMembers(req.Params)
	if err != nil {
		return nil, err
	}
	nonce := serververify.NewNonce()
	addPublished(meta, nonce)
	if members["_meta"], err = marshal(meta); err != nil {
		return nil, err
	}
	sent := *req
	if sent.Params, err = marshal(members); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonces[req.ID] = nonce
	return &sent, nil
}

// answerPublished returns what id signs for the published challenge in `_meta`,
// nil for nothing: there is no challenge, or id does not answer such.
func answerPublished(id *serververify.Identity, nonce string) map[string]json.RawMessage {
	if nonce == "" {
		return nil
	}
	signature, err := id.SignPublished(nonce)
	if err != nil {
		return nil
	}
	return map[string]json.RawMessage{
		mcpwire.MetaPublishedSignature: quote(signature),
		mcpwire.MetaPublishedSignedAt:  json.RawMessage(strconv.FormatInt(time.Now().Unix(), 10)),
	}
}
