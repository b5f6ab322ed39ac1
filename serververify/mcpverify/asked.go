package mcpverify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// codeURLElicitation is the error by which a server of 2025-11-25 asks the
// client to send its user somewhere.
const codeURLElicitation = -32042

// checkAsked refuses an answer in which the server asks for something that the
// client did not offer. Names are compared as the least careful client might,
// and what cannot be read counts as asking.
func (b *bridge) checkAsked(req *jsonrpc.Request, resp *jsonrpc.Response) error {
	var wire *jsonrpc.Error
	if errors.As(resp.Error, &wire) && wire.Code == codeURLElicitation {
		return notOffered(b.offersIn(req), "elicitation/create")
	}
	if resp.Error != nil {
		return nil
	}
	err := mcpwire.EachMember(resp.Result, func(name string, value json.RawMessage) error {
		if !strings.EqualFold(name, "inputRequests") || string(value) == "null" {
			return nil
		}
		offers := b.offersIn(req)
		return mcpwire.EachMember(value, func(_ string, asked json.RawMessage) error { return checkInput(offers, asked) })
	})
	if err != nil && len(resp.Result) > 0 && resp.Result[0] == '{' {
		return fmt.Errorf("mcpverify: the server asks before it answers: %w", err)
	}
	return nil // the client says so of a result that is no object
}

// checkInput judges one of the things that a result asks for.
func checkInput(offers map[string]json.RawMessage, asked json.RawMessage) error {
	named := false
	err := mcpwire.EachMember(asked, func(name string, value json.RawMessage) error {
		if !strings.EqualFold(name, "method") {
			return nil
		}
		named = true
		var method string
		if err := json.Unmarshal(value, &method); err != nil {
			return err
		}
		return notOffered(offers, method)
	})
	if err == nil && !named {
		err = errors.New("for what it does not name")
	}
	return err
}

func notOffered(offers map[string]json.RawMessage, method string) error {
	if offer, known := clientOffers[method]; known && offers[offer] != nil {
		return nil
	}
	return fmt.Errorf("%.100q is not what the client offers", method)
}

// offersIn is what the client can do, as a request of the newer generation says,
// and else as the handshake said.
func (b *bridge) offersIn(req *jsonrpc.Request) map[string]json.RawMessage {
	raw := protocolMeta(req.Params)[mcp.MetaKeyClientCapabilities]
	if raw == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.offers
	}
	var offers map[string]json.RawMessage
	if json.Unmarshal(raw, &offers) != nil {
		return nil
	}
	return offers
}
