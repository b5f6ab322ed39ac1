package badge

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

func decode(part string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return string(text), err
}

func statuses(w *world) []*draft {
	with := func(d *draft, s *Status) *draft {
		return d.configured(func(c *Config) { c.Status = s })
	}
	allowed := w.atLevel("1").configured(func(c *Config) { c.AllowLevel1WithoutStatus = true })
	level2 := with(w.good(), &Status{Unreachable: true}).configured(func(c *Config) { c.AllowLevel1WithoutStatus = true })
	return []*draft{
		with(w.good(), &Status{Authoritative: true, Revoked: true}).reject("revoked", revoked, "jti", "the badge was revoked"),
		with(w.good(), &Status{AsOf: now - 3600, Revoked: true}).
			reject("revoked-long-ago", revoked, "jti", "the badge was revoked, by an old answer"),
		with(w.good(), &Status{Authoritative: true, KeyWithdrawn: true}).
			reject("issuer-key-withdrawn", revoked, "", "the issuer withdrew the key that signed"),
		with(w.good(), &Status{Authoritative: true, AgentDisabled: true}).
			reject("agent-disabled", badge.CodeAgentDisabled, "sub", "the subject is disabled"),
		with(allowed, &Status{Authoritative: true, Revoked: true}).
			reject("revoked-level-1", revoked, "jti", "level 1 is allowed without status, but the badge was revoked"),
		with(w.good(), &Status{Unreachable: true}).undetermined("status-unreachable", noStatus, "the status cannot be had"),
		with(w.atLevel("1"), &Status{Unreachable: true}).
			undetermined("status-unreachable-level-1", noStatus, "the status of level 1 cannot be had, and that is not allowed"),
		level2.undetermined("status-unreachable-level-2", noStatus, "the status cannot be had, and only level 1 is allowed without"),
		with(w.good(), nil).configured(func(c *Config) { c.AllowLevel1WithoutStatus = true }).
			undetermined("status-no-source", noStatus, "the verifier has no source of status"),
		with(w.good(), &Status{AsOf: now - 301}).undetermined("status-old", noStatus, "the status is 301 s old"),
		with(w.good(), &Status{Authoritative: true, AsOf: now - 301}).
			undetermined("status-old-authoritative", noStatus, "the issuer's own answer is 301 s old"),
		with(w.good(), &Status{AsOf: now + 61}).undetermined("status-future", noStatus, "the status is from 61 s in the future"),
		with(w.good(), &Status{}).undetermined("status-timeless", noStatus, "the status does not say for what time it holds"),
	}
}

// otherID is the id of another badge.
const otherID = "9c1d7e42-58a0-4f6b-8c3e-d2b1a0f9e8d7"

func (w *world) list(change func(*badge.RevocationClaims)) string {
	c := &badge.RevocationClaims{
		Issuer: issuer, AsOf: time.Unix(now-60, 0), Revoked: []string{otherID},
		DisabledAgents: []did.DID{did.MustParse("did:web:agents.example:eve")}, WithdrawnKeys: []string{"ca-0"},
	}
	change(c)
	token, err := badge.SignRevocationList(&badge.IssuerKey{Issuer: c.Issuer, KeyID: keyID, Signer: w.ca}, c)
	must(err)
	return token
}

// signedList signs a list's text after changing it, as SignRevocationList would not.
func (w *world) signedList(header, old, replacement string) string {
	_, rest, _ := strings.Cut(w.list(func(*badge.RevocationClaims) {}), ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := decode(body)
	must(err)
	if strings.Count(text, old) != 1 {
		panic("vectorgen/badge: internal error: " + old + " does not stand once in " + text)
	}
	input := b64([]byte(header)) + "." + b64([]byte(strings.Replace(text, old, replacement, 1)))
	return input + "." + b64(vectorkit.SignJWS(w.ca, input))
}

// otherBase is a list that begins at the first revocation, with a base as if others had come before, and a
// head that follows from it.
func (w *world) otherBase() string {
	first := w.list(func(c *badge.RevocationClaims) { c.From, c.Base = 7, [32]byte{1} })
	text, err := decode(strings.Split(first, ".")[1])
	must(err)
	text = strings.Replace(strings.Replace(text, `"from":7`, `"from":0`, 1), `"to":8`, `"to":1`, 1)
	input := b64([]byte(listHeader)) + "." + b64([]byte(text))
	return input + "." + b64(vectorkit.SignJWS(w.ca, input))
}

const listHeader = `{"alg":"EdDSA","kid":"ca-1","typ":"touchmark-revocations+jwt"}`

func lists(w *world) []*draft {
	with := func(list string) *draft {
		return w.good().configured(func(c *Config) { c.Status = &Status{List: list} })
	}
	const header = listHeader
	same := w.list(func(*badge.RevocationClaims) {})
	head, rest, _ := strings.Cut(same, ".")
	body, _, _ := strings.Cut(rest, ".")
	stranger := head + "." + body + "." + b64(vectorkit.SignJWS(w.stranger, head+"."+body))
	unusable := func(name, defect, list string) *draft {
		return with(list).undetermined(name, noStatus, defect)
	}
	return []*draft{
		with(same).accept("valid-list", "a list that does not name the badge"),
		with(w.list(func(c *badge.RevocationClaims) { c.From, c.Base = 7, [32]byte{1} })).
			accept("valid-list-range", "a list that begins at the eighth revocation"),
		with(w.list(func(c *badge.RevocationClaims) { c.Revoked = append(c.Revoked, badgeID) })).
			reject("list-revoked", revoked, "jti", "the badge is on the list"),
		with(w.list(func(c *badge.RevocationClaims) { c.DisabledAgents = append(c.DisabledAgents, did.MustParse(subject)) })).
			reject("list-agent-disabled", badge.CodeAgentDisabled, "sub", "the subject is on the list"),
		with(w.list(func(c *badge.RevocationClaims) { c.AsOf = time.Unix(now-301, 0) })).
			undetermined("list-old", noStatus, "the list is 301 s old"),
		unusable("list-signature", "the list is signed with a key that is not the issuer's", stranger),
		unusable("list-typ", "the list has the typ of a badge", w.signedList(`{"alg":"EdDSA","kid":"ca-1","typ":"JWT"}`, `{"as_of"`, `{"as_of"`)),
		unusable("list-no-kid", "the list names no key", w.signedList(`{"alg":"EdDSA","typ":"touchmark-revocations+jwt"}`, `{"as_of"`, `{"as_of"`)),
		unusable("list-issuer", "the list is of another issuer", w.list(func(c *badge.RevocationClaims) { c.Issuer = unlisted })),
		unusable("list-own-key", "the list is signed with a key that it withdraws", w.signedList(header, `"ca-0"`, `"ca-1"`)),
		unusable("list-head", "the head does not follow from the revocations", w.signedList(header, otherID, badgeID)),
		unusable("list-range", "the range is not as long as the list", w.signedList(header, `"to":1`, `"to":2`)),
		unusable("list-base", "the list begins at the first revocation with another base", w.otherBase()),
		unusable("list-member-missing", "the list lacks withdrawn_keys", w.signedList(header, `,"withdrawn_keys":["ca-0"]`, ``)),
		unusable("list-member-unknown", "the list has a member that is not known", w.signedList(header, `{"as_of"`, `{"also":1,"as_of"`)),
		unusable("list-member-twice", "the list has a member twice", w.signedList(header, `{"as_of"`, `{"from":0,"as_of"`)),
		unusable("list-as-of", "the list has no time", w.signedList(header, `"as_of":1789999940`, `"as_of":0`)),
	}
}
