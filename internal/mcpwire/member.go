package mcpwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

var errNoObject = errors.New("not a JSON object")

// EachMember calls f with each member of a JSON object, also with those whose
// name was there before, until f fails.
func EachMember(object json.RawMessage, f func(name string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errNoObject
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil || !ok {
			return errNoObject
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errNoObject
	}
	return nil
}

// ToolName returns the name of the tool in the params of tools/call. It is for
// who decides about a call that somebody else carries out: params in which a
// reader that folds case, or takes the first of two, would find another name are
// refused.
func ToolName(params json.RawMessage) (string, error) {
	var name *string
	seen := false
	err := EachMember(params, func(member string, value json.RawMessage) error {
		switch {
		case !strings.EqualFold(member, "name"):
			return nil
		case member != "name" || seen:
			return fmt.Errorf("the tool is named twice, or by a member %.20q", member)
		}
		seen = true
		return json.Unmarshal(value, &name)
	})
	if err == nil && name == nil {
		err = errors.New("the tool has no name")
	}
	if err != nil {
		return "", fmt.Errorf("params of a call: %w", err)
	}
	return *name, nil
}
