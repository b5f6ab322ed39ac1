package mcpverify

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// A paramHeader is an argument that a tool wants repeated in a header field:
// its schema says so with x-mcp-header.
type paramHeader struct {
	path  []string // of members, from the arguments inwards
	field string
}

// maxSchemaDepth bounds how deep arguments are looked for.
const maxSchemaDepth = 16

// learn reads off a list of tools which of their arguments go into header
// fields. The SDK's client does the same and sets the fields itself; this is for
// clients that do not speak HTTP.
func (c *httpConn) learn(result json.RawMessage) {
	var list struct {
		Tools []struct {
			Name        string          `json:"name"`
			InputSchema json.RawMessage `json:"inputSchema"`
		} `json:"tools"`
	}
	if json.Unmarshal(result, &list) != nil {
		return // whoever asked will say so
	}
	for _, tool := range list.Tools {
		fields := paramHeaders(tool.InputSchema, nil)
		if len(c.params) < MaxTools || c.params[tool.Name] != nil {
			c.params[tool.Name] = fields
		}
	}
}

// paramHeaders returns what a schema at path wants repeated.
func paramHeaders(schema json.RawMessage, path []string) (found []paramHeader) {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Header     json.RawMessage            `json:"x-mcp-header"`
	}
	if len(path) > maxSchemaDepth || json.Unmarshal(schema, &s) != nil {
		return nil
	}
	var field string
	if json.Unmarshal(s.Header, &field) == nil && len(path) > 0 && isToken(field) {
		found = append(found, paramHeader{path, field})
	}
	for name, property := range s.Properties {
		found = append(found, paramHeaders(property, append(path[:len(path):len(path)], name))...)
	}
	return found
}

// setParamHeaders sets the fields that the tool of a call wants, unless there
// are such fields already.
func (c *httpConn) setParamHeaders(h http.Header, params json.RawMessage) {
	for name := range h {
		if strings.HasPrefix(name, headerParam) {
			return
		}
	}
	var call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if json.Unmarshal(params, &call) != nil {
		return
	}
	for _, p := range c.params[call.Name] {
		if value, ok := headerValue(lookUp(call.Arguments, p.path)); ok {
			h.Set(headerParam+p.field, value)
		}
	}
}

func lookUp(value json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil {
			return nil
		}
		value = members[name]
	}
	return value
}

// headerValue writes a string, a boolean or a safe integer as a header field
// has it; nothing else is in one.
func headerValue(raw json.RawMessage) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return "", false
		}
		return strconv.FormatInt(int64(v), 10), true
	case string:
		return headerText(v), true
	}
	return "", false
}

// headerText is s, in base64 when a header field would not keep it as it is.
func headerText(s string) string {
	const before, after = "=?base64?", "?="
	encoded := strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
	odd := strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
	if strings.Trim(s, " \t") == s && !encoded && !odd {
		return s
	}
	return before + base64.StdEncoding.EncodeToString([]byte(s)) + after
}

// isToken reports whether s can be in the name of a header field.
func isToken(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			return false
		}
	}
	return s != ""
}
