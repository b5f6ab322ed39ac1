package authzen_test

import (
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

func TestNewRefuses(t *testing.T) {
	for name, edit := range map[string]func(*authzen.Config){
		"no endpoint":            func(c *authzen.Config) { c.Endpoint = "" },
		"plain http":             func(c *authzen.Config) { c.Endpoint = "http://pdp.example.com" },
		"a command":              func(c *authzen.Config) { c.Endpoint = "stdio:pdp" },
		"a path":                 func(c *authzen.Config) { c.Endpoint = "https://pdp.example.com/access/v1/evaluation" },
		"a path of a socket":     func(c *authzen.Config) { c.Endpoint = "unix:/run/pdp:/access" },
		"a password":             func(c *authzen.Config) { c.Endpoint = "https://a:b@pdp.example.com" },
		"a long endpoint":        func(c *authzen.Config) { c.Endpoint = "https://" + strings.Repeat("a", 100) + ".example" },
		"another form":           func(c *authzen.Config) { c.Form = 7 },
		"OPA without a path":     func(c *authzen.Config) { c.Form = authzen.OPA },
		"a query":                func(c *authzen.Config) { c.Path = "/a?b" },
		"an escape":              func(c *authzen.Config) { c.Path = "/a%2fb" },
		"a relative path":        func(c *authzen.Config) { c.ListPath = "a" },
		"a name with a space":    func(c *authzen.Config) { c.Name = "a b" },
		"neither level nor open": func(c *authzen.Config) { c.MinLevel = badge.LevelNone },
		"both":                   func(c *authzen.Config) { c.Anonymous = true },
		"a version with a space": func(c *authzen.Config) { c.PolicyVersion = "a b" },
		"a long wait":            func(c *authzen.Config) { c.Timeout = time.Hour },
		"a negative wait":        func(c *authzen.Config) { c.Timeout = -1 },
		"a long memory":          func(c *authzen.Config) { c.CacheTTL = time.Hour },
		"an unknown constraint":  func(c *authzen.Config) { c.Enforces = []string{"max_runtime"} },
		"no places":              func(c *authzen.Config) { c.MaxInFlight = -1 },
	} {
		cfg := &authzen.Config{Endpoint: "https://pdp.example.com", MinLevel: badge.LevelDomain}
		edit(cfg)
		if _, err := authzen.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "authzen: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := authzen.New(nil); err == nil {
		t.Error("no Config")
	}
}
