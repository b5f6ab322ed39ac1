package guard

import "slices"

// A MethodClass says what a guard does about a method of MCP (spec/guard.md section 2). The zero MethodClass is
// that of every method which is not in the table: it is denied but for a rule that names it.
type MethodClass uint8

// The classes.
const (
	OtherMethod MethodClass = iota // a capability of its own, of [KindMethod]
	OpenMethod                     // concerns the connection: for anybody, without a record
	ListMethod                     // anybody may ask; the answer is filtered
	UseMethod                      // uses a capability, which has to be allowed
)

// A MethodInfo is an entry of the table of methods.
type MethodInfo struct {
	Name  string
	Class MethodClass

	// Kind is that of the capabilities which the method lists or uses, and "" where the parameters say which.
	// With KindTask they are those by whose use the tasks came to be.
	Kind Kind
}

// methods is the table of both generations of the protocol, and the only one.
var methods = [...]MethodInfo{
	{"initialize", OpenMethod, ""},
	{"server/discover", OpenMethod, ""},
	{"ping", OpenMethod, ""},
	{"logging/setLevel", OpenMethod, ""},
	{"dev.touchmark/identify", OpenMethod, ""},
	{"notifications/initialized", OpenMethod, ""},
	{"notifications/cancelled", OpenMethod, ""},
	{"notifications/progress", OpenMethod, ""},
	{"notifications/roots/list_changed", OpenMethod, ""},

	{"tools/list", ListMethod, KindTool},
	{"prompts/list", ListMethod, KindPrompt},
	{"resources/list", ListMethod, KindResource},
	{"resources/templates/list", ListMethod, KindTemplate},
	{"tasks/list", ListMethod, KindTask},

	{"tools/call", UseMethod, KindTool},
	{"prompts/get", UseMethod, KindPrompt},
	{"resources/read", UseMethod, KindResource},
	{"resources/subscribe", UseMethod, KindResource},
	{"resources/unsubscribe", UseMethod, KindResource},
	{"subscriptions/listen", UseMethod, KindResource},
	{"completion/complete", UseMethod, ""},
	{"tasks/get", UseMethod, KindTask},
	{"tasks/result", UseMethod, KindTask},
	{"tasks/cancel", UseMethod, KindTask},
	{"tasks/update", UseMethod, KindTask},
}

// Methods returns the table of methods. Any other is an [OtherMethod].
func Methods() []MethodInfo { return slices.Clone(methods[:]) }

// MethodNamed returns the entry for a method. For one that is not in the table it is its name, OtherMethod and
// KindMethod.
func MethodNamed(name string) MethodInfo {
	for i := range methods {
		if methods[i].Name == name {
			return methods[i]
		}
	}
	return MethodInfo{name, OtherMethod, KindMethod}
}
