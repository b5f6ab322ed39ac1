package mcpguard

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// MinLevel returns a copy of a tool that asks for a badge of at least this level, in the member
// dev.touchmark/minTrustLevel of its _meta. Where the guard's policy has no rule for the tool this is the
// rule; where it has one, the higher level counts. MinLevel panics for what is not the level of a badge.
func MinLevel(tool *mcp.Tool, level badge.Level) *mcp.Tool {
	text, err := level.MarshalText()
	if err != nil {
		panic(fmt.Sprintf("mcpguard: MinLevel of tool %q: %v", tool.Name, err))
	}
	out := *tool
	out.Meta = maps.Clone(tool.Meta)
	if out.Meta == nil {
		out.Meta = mcp.Meta{}
	}
	out.Meta[mcpwire.MetaMinTrustLevel] = int(text[0] - '0')
	return &out
}

// Annotation returns the level that the _meta of a tool asks for, LevelNone if it asks for none, and
// [guard.LevelUnsatisfiable] if it cannot be read: what is unreadable opens nothing.
func Annotation(meta map[string]any) badge.Level {
	v, ok := meta[mcpwire.MetaMinTrustLevel]
	if !ok {
		return badge.LevelNone
	}
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case int:
		text = strconv.Itoa(v)
	case float64:
		text = strconv.FormatFloat(v, 'g', -1, 64)
	case json.Number:
		text = v.String()
	}
	level, err := badge.ParseLevel(text)
	if err != nil {
		return guard.LevelUnsatisfiable
	}
	return level
}
