package pin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits of a list of tools.
const (
	MaxTools      = 10_000
	MaxToolsBytes = 8 << 20 // in canonical form
)

// Digest returns the digest of a list of tools, a JSON array: "sha256:" and
// unpadded base64url. It covers everything that each tool says of itself, and
// not the order of the tools (spec/pins.md section 6). Refused are lists with a
// name twice, and what has no canonical form by RFC 8785.
func Digest(tools json.RawMessage) (string, error) {
	list, err := parseTools(tools)
	if err != nil {
		return "", err
	}
	return list.digest, nil
}

// A toolList is a list of tools in the one form that all lists with the same
// tools have.
type toolList struct {
	digest    string
	canonical []byte
	names     []string // sorted
	byName    map[string]json.RawMessage
}

func parseTools(raw json.RawMessage) (*toolList, error) {
	var tools []json.RawMessage
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return nil, errors.New("pin: the tools are no JSON array")
	}
	if err := strictjson.Unmarshal(raw, &tools); err != nil {
		return nil, fmt.Errorf("pin: tools: %w", err)
	}
	if len(tools) > MaxTools {
		return nil, fmt.Errorf("pin: more than %d tools", MaxTools)
	}
	list := &toolList{byName: make(map[string]json.RawMessage, len(tools))}
	size := 2
	for i, tool := range tools {
		name, canonical, err := canonicalTool(tool)
		if err != nil {
			return nil, fmt.Errorf("pin: tool %d: %w", i, err)
		}
		if list.byName[name] != nil {
			return nil, fmt.Errorf("pin: tool %q is listed twice", name)
		}
		if size += len(canonical) + 1; size > MaxToolsBytes {
			return nil, fmt.Errorf("pin: more than %d bytes of tools", MaxToolsBytes)
		}
		list.names = append(list.names, name)
		list.byName[name] = canonical
	}
	list.encode()
	return list, nil
}

func canonicalTool(raw json.RawMessage) (name string, canonical []byte, err error) {
	if canonical, err = jcs.Canonicalize(raw); err != nil {
		return "", nil, err
	}
	var tool struct {
		Name *string `json:"name"`
	}
	if err := strictjson.Unmarshal(canonical, &tool); err != nil {
		return "", nil, err
	}
	if tool.Name == nil || *tool.Name == "" {
		return "", nil, errors.New("no name")
	}
	return *tool.Name, canonical, nil
}

// encode sorts the tools by the bytes of their names.
func (l *toolList) encode() {
	slices.Sort(l.names)
	var b bytes.Buffer
	b.WriteByte('[')
	for i, name := range l.names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(l.byName[name])
	}
	b.WriteByte(']')
	l.canonical = b.Bytes()
	l.digest = endpoint.Digest(l.canonical)
}

// definitionsName is the base name of the file with the tools of a digest.
func definitionsName(digest string) (string, error) {
	if !endpoint.IsDigest(digest) {
		return "", fmt.Errorf("%q is no sha256: digest", digest)
	}
	return strings.Replace(digest, ":", "-", 1) + definitionsSuffix, nil
}

const definitionsSuffix = ".json"
