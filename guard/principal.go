package guard

import (
	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

// A Principal is who asks, as far as one request showed it. Only a [Guard] makes Principals that say
// anything; the zero Principal is an anonymous caller.
type Principal struct {
	badge   *badge.Badge
	proof   *pop.Proof
	channel ChannelIdentity
	tenant  string // for whom the server is used, for the record
}

// Anonymous reports whether the caller presented no badge. That is not level 0: an anonymous caller has no
// level, and reaches no minimum.
func (p *Principal) Anonymous() bool { return p.badge == nil }

// Badge returns the caller's verified badge, nil for an anonymous caller.
func (p *Principal) Badge() *badge.Badge { return p.badge }

// Level returns the badge's level, LevelNone for an anonymous caller.
func (p *Principal) Level() badge.Level {
	if p.badge == nil {
		return badge.LevelNone
	}
	return p.badge.Level()
}

// Subject returns whom the badge is about, the zero DID for an anonymous caller.
func (p *Principal) Subject() did.DID {
	if p.badge == nil {
		return did.DID{}
	}
	return p.badge.Subject()
}

// Proven reports whether the caller showed with a call proof that it holds the badge's key. A bearer of a
// badge who did not may have found it.
func (p *Principal) Proven() bool { return p.proof != nil }

// Channel returns what the transport authenticated, nil if nothing.
func (p *Principal) Channel() ChannelIdentity { return p.channel }

// Key names the caller where its calls are counted, or things belong to it, as [LimitKey] says. All who show nothing
// have one key.
func (p *Principal) Key() string {
	switch {
	case p.badge != nil:
		return p.badge.Subject().String()
	case p.channel != nil && p.channel.Scheme() != "" && p.channel.Subject() != "":
		return "channel:" + p.channel.Scheme() + ":" + p.channel.Subject()
	}
	return anonymousKey
}

// anonymousKey is no DID, and no key of a channel.
const anonymousKey = "anonymous"
