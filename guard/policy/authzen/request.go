package authzen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// An evaluation is one question (section 6 of the Authorization API).
type evaluation struct {
	Subject  *entity      `json:"subject,omitempty"`
	Action   *action      `json:"action"`
	Resource *entity      `json:"resource"`
	Context  *contextForm `json:"context,omitempty"`

	RequestID string `json:"request_id,omitempty"` // with OPA
}

// evaluations are several with one subject and one context.
type evaluations struct {
	Subject     *entity       `json:"subject"`
	Context     *contextForm  `json:"context"`
	Evaluations []*evaluation `json:"evaluations"`
}

type entity struct {
	Type       string      `json:"type"`
	ID         string      `json:"id"`
	Properties *properties `json:"properties,omitempty"`
}

type properties struct {
	Labels   map[string][]string `json:"labels"`
	RiskTags []string            `json:"risk_tags"`
}

type action struct {
	Name string `json:"name"`
}

type contextForm struct {
	Agent         string          `json:"agent,omitempty"`
	Badge         *badgeForm      `json:"badge,omitempty"`
	Channel       *channelForm    `json:"channel,omitempty"`
	Method        string          `json:"method"`
	Verb          string          `json:"verb"`
	Server        string          `json:"server,omitempty"`
	Environment   string          `json:"environment,omitempty"`
	Tenant        string          `json:"tenant,omitempty"`
	Actor         string          `json:"actor,omitempty"`
	Time          string          `json:"time,omitempty"`
	ArgumentsHash string          `json:"arguments_sha256,omitempty"`
	Arguments     json.RawMessage `json:"arguments,omitempty"`
	Claims        json.RawMessage `json:"claims,omitempty"`
	Issuer        string          `json:"token_issuer,omitempty"`
}

type badgeForm struct {
	DID       string `json:"did"`
	Level     int    `json:"level"`
	Issuer    string `json:"issuer"`
	Assurance string `json:"assurance,omitempty"`
	Actor     string `json:"actor,omitempty"` // as the issuer vouches
}

type channelForm struct {
	SPIFFEID string  `json:"spiffe_id,omitempty"`
	UID      *uint32 `json:"uid,omitempty"`
}

// resourceTypes are the types of resources by the method that uses them, after the binding for MCP. The last ones are
// not in that draft. A method that is not here is denied, and the service not asked.
var resourceTypes = map[string]map[guard.Kind]string{
	"tools/call":            {guard.KindTool: "tool"},
	"prompts/get":           {guard.KindPrompt: "prompt"},
	"resources/read":        {guard.KindResource: "resource"},
	"resources/subscribe":   {guard.KindResource: "resource"},
	"resources/unsubscribe": {guard.KindResource: "resource"},
	"completion/complete":   {guard.KindPrompt: "prompt", guard.KindTemplate: "resource"},

	"subscriptions/listen": {guard.KindResource: "resource"},
}

// question maps a call. It returns nil for one that there is no mapping for.
func (c *Client) question(call *policy.Call) (*evaluation, error) {
	method := call.Method
	if call.Verb != guard.Invoke { // an entry of a list is asked about as if it were used
		method = policy.UsualMethod(call.Capability.Kind)
	}
	kind, ok := resourceTypes[method][call.Capability.Kind]
	if !ok {
		return nil, nil
	}
	call.Complete(c.cfg.Server, c.cfg.Environment)
	e := &evaluation{
		Action: &action{method}, Resource: &entity{Type: kind, ID: call.Capability.Name},
		Context: &contextForm{
			Method: call.Method, Verb: "invoke", Tenant: call.Facts.Tenant, Actor: string(call.Facts.Actor),
			Server: call.Facts.Server, Environment: call.Facts.Environment,
		},
	}
	if call.Verb != guard.Invoke {
		e.Context.Verb = "discover"
	}
	if c.cfg.Capabilities != nil {
		if about := c.cfg.Capabilities.Describe(call.Capability); about != nil {
			e.Resource.Properties = &properties{about.Labels, about.RiskTags}
		}
	}
	if err := e.setSubject(call, c.cfg.SendClaims); err != nil {
		return nil, err
	}
	return e, e.Context.setArguments(call.Arguments, c.cfg.SendArguments)
}

// setSubject names who asks: the subject of an access token, on whose behalf an agent with a badge may act; without
// a token that agent; and else nobody. The types keep apart names that others choose.
func (e *evaluation) setSubject(call *policy.Call, all bool) error {
	e.Subject = &entity{Type: "anonymous", ID: "anonymous"}
	if who := &call.Caller; who.Level != badge.LevelNone {
		e.Subject = &entity{Type: "agent", ID: who.DID}
		e.Context.Agent = who.DID
		e.Context.Badge = &badgeForm{who.DID, int(who.Level - badge.LevelSelfSigned), who.Issuer, who.Assurance, who.BadgeActor}
	}
	if call.Caller.SPIFFEID != "" || call.Caller.HasUID {
		e.Context.Channel = &channelForm{SPIFFEID: call.Caller.SPIFFEID}
		if call.Caller.HasUID {
			e.Context.Channel.UID = &call.Caller.UID
		}
	}
	if len(call.Facts.Claims) == 0 {
		return nil
	}
	var claims struct {
		Sub      string `json:"sub"`
		Issuer   string `json:"iss"`
		ClientID string `json:"client_id"`
	}
	if err := strictjson.Unmarshal(call.Facts.Claims, &claims); err != nil {
		return fmt.Errorf("authzen: claims: %w", err)
	}
	if claims.Sub != "" {
		e.Subject = &entity{Type: "identity", ID: claims.Sub}
		e.Context.Issuer = claims.Issuer
	}
	orElse(&e.Context.Agent, claims.ClientID)
	if all {
		e.Context.Claims = call.Facts.Claims
	}
	return nil
}

// setArguments says what is known of the arguments: their hash in RFC 8785 form, or themselves.
func (x *contextForm) setArguments(arguments json.RawMessage, all bool) error {
	switch {
	case len(arguments) == 0:
		return nil
	case strictjson.Validate(arguments) != nil:
		return errors.New("authzen: the arguments are not JSON by strict rules")
	case all:
		x.Arguments = arguments
		return nil
	}
	canonical, err := jcs.Canonicalize(arguments)
	if err != nil {
		return fmt.Errorf("authzen: arguments: %w", err)
	}
	sum := sha256.Sum256(canonical)
	x.ArgumentsHash = base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

func (x *contextForm) setTime(now time.Time) { x.Time = now.UTC().Format("2006-01-02T15:04:05.000Z") }
