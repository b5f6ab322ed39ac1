package policy

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// ParseCall reads a call from YAML, or from JSON (spec/policy.md section 9). The error is an *[Error].
func ParseCall(data []byte) (*Call, error) {
	root, err := parseYAML(data)
	if err != nil && len(data) <= MaxBytes && strictjson.Validate(data) == nil {
		// The YAML parser does not know all escapes of JSON. Places in errors are then those of the shortest form.
		plain := jsontext.Value(bytes.Clone(data))
		if plain.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) == nil {
			root, err = parseYAML(plain)
		}
	}
	if err != nil {
		return nil, err
	}
	return readCall(root)
}

func readCall(n *yaml.Node) (*Call, error) {
	c := &Call{Verb: guard.Invoke}
	err := mapping(n, "a call", func(name string, key, value *yaml.Node) (known bool, err error) {
		if kind, ok := kindNames[name]; ok {
			if c.Capability.Kind != "" {
				return true, at(key, "a call has %s and %s", c.Capability.Kind, kind)
			}
			c.Capability.Kind = kind
			c.Capability.Name, err = text(value, name)
			return true, err
		}
		switch name {
		case "verb":
			err = c.readVerb(value)
		case "method":
			c.Method, err = plainText(value, name)
		case "arguments":
			c.Arguments, err = jsonOf(value)
		case "caller":
			err = c.readCaller(value)
		case "server":
			c.Facts.Server, err = plainText(value, name)
		case "environment":
			c.Facts.Environment, err = plainText(value, name)
		case "tenant":
			c.Facts.Tenant, err = plainText(value, name)
		case "actor":
			c.Facts.Actor, err = readActor(value)
		case "time":
			c.Time, err = readTime(value)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && c.Capability.Kind == "" {
		err = at(n, "a call names no capability, as in {tool: NAME}")
	}
	if c.Method == "" {
		c.Method = c.usualMethod()
	}
	return c, err
}

// usualMethod is the method of a call that does not say.
func (c *Call) usualMethod() string {
	lists := map[guard.Kind]string{
		guard.KindTool: "tools/list", guard.KindPrompt: "prompts/list",
		guard.KindResource: "resources/list", guard.KindTemplate: "resources/templates/list",
	}
	switch {
	case c.Capability.Kind == guard.KindMethod:
		return c.Capability.Name
	case c.Verb == guard.Discover:
		return lists[c.Capability.Kind]
	}
	return uses(c.Capability.Kind)
}

func (c *Call) readVerb(n *yaml.Node) error {
	s := condition{name: "verb"}
	if err := s.readSet(n, verbNames); err != nil {
		return err
	}
	if c.Verb = guard.Invoke; s.set == 1<<guard.Discover {
		c.Verb = guard.Discover
	}
	return nil
}

func readActor(n *yaml.Node) (guard.Actor, error) {
	s := condition{name: "actor"}
	if err := s.readSet(n, actorNames); err != nil {
		return "", err
	}
	name, ok := s.value.(string)
	if !ok {
		return "", at(n, "actor is not one class")
	}
	return guard.Actor(name), nil
}

func readTime(n *yaml.Node) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return t, at(n, "time %q is not a time as in 2026-11-21T12:00:00Z", n.Value)
	}
	return t, nil
}

// readCaller reads who calls. One without a level is anonymous, and has nothing that only badges have.
func (c *Call) readCaller(n *yaml.Node) error {
	var ofBadge, vouched *yaml.Node
	err := mapping(n, "caller", func(name string, key, value *yaml.Node) (known bool, err error) {
		switch name {
		case "level":
			c.Caller.Level, err = level(value, name)
			return true, err
		case "did":
			c.Caller.DID, err = plainText(value, name)
			ofBadge = key
		case "issuer":
			c.Caller.Issuer, err = plainText(value, name)
			ofBadge = key
		case "assurance":
			c.Caller.Assurance, err = plainText(value, name)
			ofBadge = key
		case "badge_actor":
			var class guard.Actor
			class, err = readActor(value)
			c.Caller.BadgeActor, vouched, ofBadge = string(class), key, key
		case "spiffe_id":
			c.Caller.SPIFFEID, err = plainText(value, name)
		case "uid":
			s := condition{}
			if err = s.readUIDs(value); err == nil && len(s.uids) == 1 {
				c.Caller.UID, c.Caller.HasUID = s.uids[0], true
			}
		case "claims":
			c.Facts.Claims, err = jsonOf(value)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
	case vouched != nil && c.Caller.Level == badge.LevelSelfSigned:
		err = at(vouched, "the caller has badge_actor and level 0: a badge without an issuer has no class that anybody vouches for")
	case ofBadge != nil && c.Caller.Level == badge.LevelNone:
		err = at(ofBadge, "the caller has %s and no level: it has a badge with both, or is anonymous", ofBadge.Value)
	}
	return err
}

// jsonOf writes a value of a YAML file as JSON. Scalars are JSON already, but for strings, which may be written in
// other ways.
func jsonOf(n *yaml.Node) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := writeJSON(&out, n); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		first := true
		err := mapping(n, "an object", func(_ string, key, value *yaml.Node) (bool, error) {
			if !first {
				out.WriteByte(',')
			}
			first = false
			out.WriteString(quoteJSON(key.Value))
			out.WriteByte(':')
			return true, writeJSON(out, value)
		})
		out.WriteByte('}')
		return err
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, c); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	}
	return writeScalar(out, n)
}

func writeScalar(out *bytes.Buffer, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!str":
		out.WriteString(quoteJSON(n.Value))
		return nil
	case "!!null", "!!bool", "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			out.WriteString(n.Value)
			return nil
		}
	}
	return at(n, "%q is no value of JSON; quote it if it is meant as a string", n.Value)
}

func quoteJSON(s string) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // a string always has a form
		return `""`
	}
	return string(bytes.TrimSpace(text.Bytes()))
}
