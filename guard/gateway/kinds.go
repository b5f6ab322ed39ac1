package gateway

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/guard"
)

// A listKind is one of the lists that an upstream has.
type listKind struct {
	kind   guard.Kind
	method string // that asks for it
	member string // of the result, with the entries
	name   string // the member of an entry that names it
	noun   string // for messages

	changed string // the notification that the list is another now

	// repeats: an entry may be listed twice. Servers put resources together from
	// several sources.
	repeats bool
}

// The lists. What is approved and pinned of an upstream is the first.
var (
	listOfTools = &listKind{
		kind: guard.KindTool, method: "tools/list", member: "tools", name: "name", noun: "tools",
		changed: "notifications/tools/list_changed",
	}
	listOfPrompts = &listKind{
		kind: guard.KindPrompt, method: "prompts/list", member: "prompts", name: "name", noun: "prompts",
		changed: "notifications/prompts/list_changed",
	}
	listOfResources = &listKind{
		kind: guard.KindResource, method: "resources/list", member: "resources", name: "uri", noun: "resources",
		changed: "notifications/resources/list_changed", repeats: true,
	}
	listOfTemplates = &listKind{
		kind: guard.KindTemplate, method: "resources/templates/list", member: "resourceTemplates", name: "uriTemplate",
		noun: "resource templates", changed: "notifications/resources/list_changed", repeats: true,
	}

	listKinds = []*listKind{listOfTools, listOfPrompts, listOfResources, listOfTemplates}
)

// A use is a method by which something of the upstream is used.
type use struct {
	// members are what its parameters may have. What the guard does not know of
	// it cannot decide about.
	members []string

	// describe says what is asked for.
	describe func(r *guard.Request, params object) error

	// again: it may be answered with the wish to be made again.
	again bool
}

var uses = map[string]*use{
	"tools/call": {
		members:  []string{"name", "arguments", "inputResponses", "requestState", "_meta"},
		again:    true,
		describe: func(r *guard.Request, params object) error { return describe(r, guard.KindTool, params, "name") },
	},
	"prompts/get": {
		members:  []string{"name", "arguments", "inputResponses", "requestState", "_meta"},
		again:    true,
		describe: func(r *guard.Request, params object) error { return describe(r, guard.KindPrompt, params, "name") },
	},
	"resources/read": {
		members: []string{"uri", "inputResponses", "requestState", "_meta"}, again: true,
		describe: func(r *guard.Request, params object) error { return describe(r, guard.KindResource, params, "uri") },
	},
	"completion/complete": {
		members:  []string{"ref", "argument", "context", "_meta"},
		describe: describeCompletion,
	},
}

var errForm = errors.New("the parameters are not those of the method")

// describe takes the name of what is asked for from a member of params.
func describe(r *guard.Request, kind guard.Kind, params object, member string) error {
	name, err := params.str(member)
	if err != nil || name == "" {
		return fmt.Errorf("%w: %s", errForm, member)
	}
	r.Capability = guard.Capability{Kind: kind, Name: name}
	return nil
}

// describeCompletion takes apart what a completion is for: an argument of a prompt,
// or of a resource template. Its arguments are those of spec/call-proof.md section 3.1.
func describeCompletion(r *guard.Request, params object) error {
	ref, err := params.child("ref")
	if err != nil {
		return err
	}
	argument, err := params.child("argument")
	if err != nil || !argument.has("name", "value") {
		return fmt.Errorf("%w: argument", errForm)
	}
	kind, member := guard.KindPrompt, "name"
	switch string(ref["type"]) {
	case `"ref/prompt"`:
		if !ref.has("type", "name", "title") {
			return fmt.Errorf("%w: ref", errForm)
		}
	case `"ref/resource"`:
		if kind, member = guard.KindTemplate, "uri"; !ref.has("type", "uri") {
			return fmt.Errorf("%w: ref", errForm)
		}
	default:
		return fmt.Errorf("%w: ref", errForm)
	}
	if raw, ok := params["context"]; ok {
		if context, err := parseObject(raw); err != nil || !context.has("arguments") {
			return fmt.Errorf("%w: context", errForm)
		}
	}
	r.Arguments = json.RawMessage(params.only("argument", "context").encode())
	return describe(r, kind, ref, member)
}
