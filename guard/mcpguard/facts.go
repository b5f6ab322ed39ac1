package mcpguard

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// recognize fills in what the transport of a request authenticated, and what that and the configuration say of the call
// (spec/guard.md section 3.3). What cannot be put into words is not known.
func (a *Adapter) recognize(r *guard.Request, t *ticket, extra *mcp.RequestExtra) {
	r.Facts = a.facts
	if extra != nil && extra.TokenInfo != nil {
		r.Facts.Claims = claimsOf(extra.TokenInfo)
		if extra.TokenInfo.UserID != "" {
			r.Channel = tokenIdentity(extra.TokenInfo.UserID)
		}
	}
	if t == nil || t.channel == nil {
		return
	}
	r.Channel = t.channel // the channel itself goes before a token that came over it
	if p, ok := t.channel.(*workload.Principal); ok {
		if m, ok := a.actors.Map(p); ok {
			r.Facts.Actor = guard.Actor(m.ActorClass)
		}
	}
}

// tokenIdentity is the subject of an access token that the SDK's bearer middleware verified.
type tokenIdentity string

func (tokenIdentity) Scheme() string    { return "oauth" }
func (t tokenIdentity) Subject() string { return string(t) }

// claimsOf returns the claims of a token that the SDK's bearer middleware verified: what its verifier put into Extra,
// and under the names of RFC 9068 what the SDK has members for, unless Extra has them.
func claimsOf(info *auth.TokenInfo) json.RawMessage {
	claims := map[string]any{}
	if info.UserID != "" {
		claims["sub"] = info.UserID
	}
	if len(info.Scopes) > 0 {
		claims["scope"] = strings.Join(info.Scopes, " ")
	}
	if !info.Expiration.IsZero() {
		claims["exp"] = info.Expiration.Unix()
	}
	maps.Copy(claims, info.Extra)
	text, err := json.Marshal(claims)
	if err != nil {
		return nil
	}
	return text
}
