package badge_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

func TestConfigRefused(t *testing.T) {
	ca := badgetest.New(t)
	own := badgetest.NewAgent(t).DID
	web := did.MustParse("did:web:registry.example")
	for name, c := range map[string]struct {
		change func(*badge.Config)
		want   string
	}{
		"nobody trusted":     {func(c *badge.Config) { c.Issuers = nil }, "trusts nobody"},
		"no keys":            {func(c *badge.Config) { c.Keys = nil }, "no Keys"},
		"no status":          {func(c *badge.Config) { c.Status = nil }, "no Status"},
		"status and not":     {func(c *badge.Config) { c.UnsafeNoStatus = true }, "both Status and UnsafeNoStatus"},
		"http issuer":        {func(c *badge.Config) { c.Issuers = []string{"http://registry.example"} }, "https"},
		"issuer with slash":  {func(c *badge.Config) { c.Issuers = []string{"https://registry.example/"} }, "more than a host"},
		"issuer with user":   {func(c *badge.Config) { c.Issuers = []string{"https://u@registry.example"} }, "more than a host"},
		"issuer with query":  {func(c *badge.Config) { c.Issuers = []string{"https://registry.example?"} }, "more than a host"},
		"issuer port 443":    {func(c *badge.Config) { c.Issuers = []string{"https://registry.example:443"} }, "port"},
		"issuer port 0":      {func(c *badge.Config) { c.Issuers = []string{"https://registry.example:0"} }, "port"},
		"issuer port 65536":  {func(c *badge.Config) { c.Issuers = []string{"https://registry.example:65536"} }, "port"},
		"issuer port empty":  {func(c *badge.Config) { c.Issuers = []string{"https://registry.example:"} }, "port"},
		"issuer port letter": {func(c *badge.Config) { c.Issuers = []string{"https://registry.example:8x"} }, "port"},
		"issuer upper case":  {func(c *badge.Config) { c.Issuers = []string{"https://Registry.example"} }, "lower case"},
		"issuer IPv6":        {func(c *badge.Config) { c.Issuers = []string{"https://[::1]"} }, "lower case"},
		"issuer final dot":   {func(c *badge.Config) { c.Issuers = []string{"https://registry.example."} }, "lower case"},
		"issuer hyphen":      {func(c *badge.Config) { c.Issuers = []string{"https://-registry.example"} }, "lower case"},
		"issuer long label":  {func(c *badge.Config) { c.Issuers = []string{"https://" + strings.Repeat("a", 64)} }, "lower case"},
		"issuer empty":       {func(c *badge.Config) { c.Issuers = []string{""} }, "https"},
		"issuer wildcard":    {func(c *badge.Config) { c.Issuers = []string{"https://*.example"} }, "lower case"},
		"did:web self":       {func(c *badge.Config) { c.SelfSigned = []did.DID{web} }, "not a did:key"},
		"zero self":          {func(c *badge.Config) { c.SelfSigned = []did.DID{{}} }, "not a did:key"},
		"compat not set":     {func(c *badge.Config) { c.CompatIssuers = []did.DID{web} }, "Compat is not set"},
		"compat did:key":     {func(c *badge.Config) { c.Compat = true; c.CompatIssuers = []did.DID{own} }, "not a did:web"},
		"ES256 of nobody":    {func(c *badge.Config) { c.AllowES256 = []string{"https://other.example"} }, "not among the issuers"},
		"empty audience":     {func(c *badge.Config) { c.Audience = []string{""} }, "Audience"},
		"skew":               {func(c *badge.Config) { c.Skew = 61 * time.Second }, "Skew"},
	} {
		cfg := ca.Config()
		c.change(cfg)
		if _, err := badge.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.want)
		}
	}
	if _, err := badge.NewVerifier(nil); err == nil {
		t.Error("no Config at all was accepted")
	}
	if _, err := badge.NewVerifier(&badge.Config{}); err == nil {
		t.Error("the zero Config was accepted")
	}
	for name, change := range map[string]func(*badge.Config){
		"level 1 only":      func(c *badge.Config) { c.Status = nil; c.AllowLevel1WithoutStatus = true },
		"self-signed only":  func(c *badge.Config) { *c = badge.Config{SelfSigned: []did.DID{own}} },
		"compat":            func(c *badge.Config) { c.Compat = true; c.CompatIssuers = []did.DID{web} },
		"no skew, no cache": func(c *badge.Config) { c.Skew, c.CacheEntries = -1, -1 },
	} {
		cfg := ca.Config()
		change(cfg)
		if _, err := badge.NewVerifier(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoModes: what a Config switches is on or off. A mode as a number would have values that nobody thought of.
func TestNoModes(t *testing.T) {
	cfg := reflect.TypeFor[badge.Config]()
	for i := range cfg.NumField() {
		f := cfg.Field(i)
		switch f.Name {
		case "Skew", "CacheEntries": // quantities
			continue
		}
		switch f.Type.Kind() {
		case reflect.Bool:
			if !strings.HasPrefix(f.Name, "Unsafe") && !strings.HasPrefix(f.Name, "Allow") && f.Name != "Compat" {
				t.Errorf("%s is a switch without Unsafe or Allow in its name", f.Name)
			}
		case reflect.Slice, reflect.Interface, reflect.Func:
		default:
			t.Errorf("%s is a %v", f.Name, f.Type)
		}
	}
}

func TestSkew(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	issued := time.Unix(1790000000, 0)
	ca.SetTime(func() time.Time { return issued })
	token := ca.Issue(agent, badge.LevelDomain)
	for _, c := range []struct {
		skew, at time.Duration
		want     badge.Code
	}{
		{0, -60 * time.Second, ""},
		{0, -61 * time.Second, badge.CodeNotYetValid},
		{0, 359*time.Second + 999*time.Millisecond, ""},
		{0, 360 * time.Second, badge.CodeExpired},
		{-1, 0, ""},
		{-1, -time.Millisecond, badge.CodeNotYetValid},
		{-1, 299 * time.Second, ""},
		{-1, 300 * time.Second, badge.CodeExpired},
		{1500 * time.Millisecond, 301 * time.Second, badge.CodeExpired},
	} {
		cfg := ca.Config()
		cfg.Skew = c.skew
		cfg.Time = func() time.Time { return issued.Add(c.at) }
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token); badge.CodeOf(err) != c.want {
			t.Errorf("skew %v, %v after issue: %v, want %q", c.skew, c.at, err, c.want)
		}
	}
}
