package client_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
)

// Faults of published clients are numbered in two lists: 1 to 14 those of what
// is sent, and 2 to 27 those of how it was written, which are here, in
// request_test.go, in sync_test.go and in cmd/touchmark/fault_test.go.

// The published code fetches the key of whatever issuer a token names, and looks
// at its list of issuers afterwards.
func TestKnownFault02ListBeforeKeys(t *testing.T) {
	trusted, other := authoritytest.New(t), authoritytest.New(t)
	token := other.Issue(other.NewAgent("eve")).Token()
	asked := other.Asked("")
	c := trusted.Client()
	for range 2 {
		_, err := trusted.Verifier(func(cfg *badge.Config) { cfg.Keys, cfg.Status = c, c }).Verify(t.Context(), token)
		if badge.CodeOf(err) != badge.CodeIssuerUntrusted {
			t.Errorf("a badge of somebody else: %v", err)
		}
	}
	var unlisted *client.UnlistedError
	if _, err := c.IssuerKeys(t.Context(), other.Issuer); !errors.As(err, &unlisted) {
		t.Errorf("keys of somebody else: %v", err)
	}
	if _, err := c.Status(t.Context(), badge.StatusQuery{Issuer: other.Issuer, BadgeID: "x"}); !errors.As(err, &unlisted) {
		t.Errorf("status by somebody else: %v", err)
	}
	if n := other.Asked("") - asked; n != 0 {
		t.Errorf("somebody else was asked %d times", n)
	}
}

// The published code has FailOpen and SkipRevocationCheck as fields like others.
// Here each switch that takes a check away is called Unsafe or Allow, and off.
func TestKnownFault15DangerIsNamed(t *testing.T) {
	for _, cfg := range []any{
		badge.Config{}, client.Config{}, client.RequesterConfig{}, client.KeeperConfig{}, client.SyncConfig{}, client.DomainsConfig{},
	} {
		kind := reflect.TypeOf(cfg)
		for field := range kind.Fields() {
			name := field.Name
			if field.Type.Kind() == reflect.Bool && !strings.HasPrefix(name, "Unsafe") && !strings.HasPrefix(name, "Allow") && name != "Compat" {
				t.Errorf("%v has the switch %s", kind, name)
			}
			for _, word := range []string{"Skip", "Insecure", "FailOpen", "Disable", "Ignore"} {
				if strings.Contains(name, word) {
					t.Errorf("%v has the field %s", kind, name)
				}
			}
		}
	}
}

// The published code compares levels in three ways, one of which takes "10" for
// less than "2", and another what is no number for 0.
func TestKnownFault16LevelsHaveOneOrder(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	for have := badge.LevelRegistered; have <= badge.LevelExtended; have++ {
		domain := ""
		if have >= badge.LevelDomain {
			domain = authoritytest.Domain
		}
		a.Grant(ada.DID, have, domain)
		for want := badge.LevelRegistered; want <= badge.LevelExtended; want++ {
			cfg := a.RequesterConfig(ada)
			cfg.MinLevel = want
			b, err := requester(t, cfg).Request(t.Context())
			if (err == nil) != (have >= want) || err == nil && b.Level != have {
				t.Errorf("level %v where at least %v was asked for: %v, %v", have, want, b, err)
			}
			if have.AtLeast(want) != (have >= want) {
				t.Errorf("AtLeast(%v, %v)", have, want)
			}
		}
	}
	for _, text := range []string{"", "10", "02", "+2", " 2", "2 ", "２", "-1", "5", "four", "2.0"} {
		if level, err := badge.ParseLevel(text); err == nil || level != badge.LevelNone || level.AtLeast(badge.LevelSelfSigned) {
			t.Errorf("level %q is %v", text, level)
		}
	}
}
