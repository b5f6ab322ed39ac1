package mcpverify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Limits on a server's list of tools.
const (
	MaxTools     = 10_000
	MaxToolPages = 1_000
	MaxToolBytes = 8 << 20 // of all definitions together

	toolsTimeout = 30 * time.Second // for all pages, and the judge
	maxToolReads = 4                // of a list that changes meanwhile
)

// A ToolChecker judges the whole list of tools that a server offers, as
// serververify/pin does by what was approved before. tools is a JSON array of
// all definitions, over all pages, as the server sent them. An error refuses the
// list, and every call until a list is accepted; it should be an
// [*serververify.UntrustedError] with [serververify.CodeToolsChanged] and say
// what changed.
type ToolChecker interface {
	CheckTools(ctx context.Context, srv *serververify.Server, tools json.RawMessage) error
}

// A toolList is all pages of a list of tools.
type toolList struct {
	first map[string]json.RawMessage // what the first page says beside them
	tools []json.RawMessage
	names map[string]bool
	bytes int
}

// readTools reads all pages. params are those of the session's request: what the
// protocol wants in every `_meta` is taken from there.
func readTools(params json.RawMessage, ask func(params json.RawMessage) (json.RawMessage, error)) (*toolList, error) {
	list := &toolList{names: make(map[string]bool)}
	meta := protocolMeta(params)
	cursor := ""
	for range MaxToolPages {
		p := make(map[string]any)
		if len(meta) > 0 {
			p["_meta"] = meta
		}
		if cursor != "" {
			p["cursor"] = cursor
		}
		text, err := marshal(p)
		if err != nil {
			return nil, err
		}
		page, err := ask(text)
		if err != nil {
			return nil, err
		}
		if cursor, err = list.add(page); err != nil {
			return nil, &serververify.UndeterminedError{Reason: "its list of tools: " + err.Error()}
		}
		if cursor == "" {
			return list, nil
		}
	}
	return nil, &serververify.UndeterminedError{Reason: fmt.Sprintf("its list of tools has more than %d pages", MaxToolPages)}
}

// add takes a page and returns the cursor of the next, "" when there is none.
func (l *toolList) add(page json.RawMessage) (string, error) {
	var members map[string]json.RawMessage
	if err := strictjson.Unmarshal(page, &members); err != nil {
		return "", err
	}
	var tools []json.RawMessage
	if err := strictjson.Unmarshal(members["tools"], &tools); err != nil || tools == nil {
		return "", errors.New("member \"tools\" is not an array")
	}
	if len(l.tools)+len(tools) > MaxTools {
		return "", fmt.Errorf("more than %d tools", MaxTools)
	}
	for _, raw := range tools {
		if err := l.addTool(raw); err != nil {
			return "", err
		}
	}
	cursor, err := metaText(members, "nextCursor")
	if err != nil {
		return "", err
	}
	if l.first == nil {
		maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { // as a reader that folds case knows them
			return strings.EqualFold(name, "tools") || strings.EqualFold(name, "nextCursor")
		})
		l.first = members
	}
	return cursor, nil
}

func (l *toolList) addTool(raw json.RawMessage) error {
	var tool map[string]json.RawMessage
	if err := strictjson.Unmarshal(raw, &tool); err != nil {
		return err
	}
	name, err := metaText(tool, "name")
	switch {
	case err != nil || name == "":
		return errors.New("a tool without a name")
	case l.names[name]:
		return fmt.Errorf("tool %.200q is there twice", name)
	}
	if l.bytes += len(raw); l.bytes > MaxToolBytes {
		return fmt.Errorf("more than %d bytes", MaxToolBytes)
	}
	l.names[name] = true
	l.tools = append(l.tools, raw)
	return nil
}

// array is all definitions, as the server wrote them.
func (l *toolList) array() json.RawMessage {
	return append(append([]byte("["), bytes.Join(asBytes(l.tools), []byte(","))...), ']')
}

func asBytes(raw []json.RawMessage) [][]byte {
	out := make([][]byte, len(raw))
	for i, r := range raw {
		out[i] = r
	}
	return out
}

// result is the list as one page.
func (l *toolList) result() json.RawMessage {
	members := map[string]json.RawMessage{"tools": l.array()}
	for name, value := range l.first {
		members[name] = value
	}
	text, err := marshal(members)
	if err != nil {
		panic("mcpverify: internal error: " + err.Error()) // the members were parsed
	}
	return text
}

// listCursor returns the page that a tools/list asks for, "" for the first.
func listCursor(params json.RawMessage) string {
	var p struct {
		Cursor string `json:"cursor"`
	}
	if len(params) == 0 || json.Unmarshal(params, &p) != nil {
		return ""
	}
	return p.Cursor
}
