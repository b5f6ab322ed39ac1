package cedar_test

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

// What policies look at is found in every form in which it can be written.
func TestLooksAreFound(t *testing.T) {
	for _, when := range []string{
		`context.arguments.path == "/etc"`, `context["arguments"]["path"] == "/etc"`, `context.arguments has path && false`,
		`context has arguments.path && false`, `(if true then context else context).arguments.path == "/etc"`,
		`[context.arguments].contains({"path": "/etc"})`, `!({"a": context}.a.arguments.path != "/etc")`,
		`-(context.arguments.path) == 1`, `context.arguments.path like "/etc*"`, `context.arguments.path is Agent`,
		`ip(context.arguments.path).isLoopback()`, `context.arguments == {path: "/etc"}`,
	} {
		text := permitAll + `@id("f") forbid (principal, action, resource) when { ` + when + ` };`
		d, err := try(t, text, tool(`{"Path":"/etc"}`))
		if err == nil || !strings.Contains(err.Error(), "in another case") {
			t.Errorf("%s: %+v, %v", when, d, err)
		}
	}
}

// A policy that is as deep as it can be is read in time that does not matter.
func TestDeepPolicies(t *testing.T) {
	for _, part := range []string{"true && ", "1 == 1 || ", "if true then true else "} {
		text := permitAll + `@id("deep") forbid (principal, action, resource) when { ` +
			strings.Repeat(part, cedar.MaxStatementBytes/len(part)-20) + "false };"
		if d, err := try(t, text, tool(`{}`)); err != nil || d.NoRule {
			t.Errorf("%s: %+v, %v", part, d, err)
		}
	}
}
