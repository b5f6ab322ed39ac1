package mcpverify

import (
	"context"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/serververify"
)

// A ToolChecker judges the whole list of tools that a server offers, as
// serververify/pin does by what was approved before. tools is a JSON array of
// all definitions, over all pages, as the server sent them. An error refuses the
// list, and every call until a list is accepted; it should be an
// [*serververify.UntrustedError] with SERVER_TOOLS_CHANGED and say
// what changed.
type ToolChecker interface {
	CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error
}
