package policy

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A Call is all that a policy looks at. A guard makes it of its [guard.Input]; [Policy.Explain] takes one as it is,
// so that a policy can be tried without badges. Members that are empty are not known, except that a Caller of
// LevelNone is known to be anonymous.
type Call struct {
	Verb       guard.Verb
	Method     string
	Capability guard.Capability
	Arguments  json.RawMessage
	Caller     Caller
	Facts      guard.Facts
	Time       time.Time // zero: the policy's clock
}

// A Caller is who calls. The zero Caller is anonymous.
type Caller struct {
	Level                  badge.Level
	DID, Issuer, Assurance string // of the badge
	BadgeActor             string // of the badge: the class that its issuer vouches for
	SPIFFEID               string // of the channel
	UID                    uint32 // of the channel; only with HasUID
	HasUID                 bool
}

// Schemes of the identities of channels that conditions look at.
const (
	schemeSPIFFE  = "spiffe"
	schemeJWTSVID = "jwt-svid"
	schemeUnix    = "unix"
	uidPrefix     = "uid:"
)

func (c *Call) fill(in *guard.Input) {
	c.Verb, c.Method, c.Capability = in.Verb, in.Method, in.Capability
	c.Arguments, c.Facts = in.Arguments, in.Facts
	if in.Caller == nil {
		return
	}
	if b := in.Caller.Badge(); b != nil {
		c.Caller.Level, c.Caller.Issuer = b.Level(), b.Issuer()
		c.Caller.DID, c.Caller.Assurance = b.Subject().String(), string(b.Assurance())
		c.Caller.BadgeActor = b.Actor()
	}
	if channel := in.Caller.Channel(); channel != nil {
		c.Caller.fillChannel(channel.Scheme(), channel.Subject())
	}
}

func (c *Caller) fillChannel(scheme, subject string) {
	switch scheme {
	case schemeSPIFFE, schemeJWTSVID:
		c.SPIFFEID = subject
	case schemeUnix:
		if digits, ok := strings.CutPrefix(subject, uidPrefix); ok {
			if uid, err := strconv.ParseUint(digits, 10, 32); err == nil {
				c.UID, c.HasUID = uint32(uid), true
			}
		}
	}
}

// Complete fills in what a policy was told of the server and the environment of calls whose facts do not say it. What
// sources disagree about stays unknown.
func (c *Call) Complete(server, environment string) {
	f := &c.Facts
	f.Server = completed(f.Server, f.DisputedServer, server)
	f.Environment = completed(f.Environment, f.DisputedEnvironment, environment)
}

func completed(known string, disputed bool, otherwise string) string {
	switch {
	case disputed:
		return ""
	case known == "":
		return otherwise
	}
	return known
}

// uses is the method by which a capability of a kind is used: what a rule for that method says holds for lists too.
func uses(kind guard.Kind) string {
	switch kind {
	case guard.KindTool:
		return "tools/call"
	case guard.KindPrompt:
		return "prompts/get"
	case guard.KindResource:
		return "resources/read"
	case guard.KindTemplate:
		return "completion/complete"
	}
	return ""
}
