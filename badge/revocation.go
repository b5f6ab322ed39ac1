package badge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	// MaxRevocationListBytes is the length of the longest revocation list that is read or written.
	MaxRevocationListBytes = 8 << 20

	revocationTyp     = "touchmark-revocations+jwt"
	revocationContext = "touchmark/revocations/v1\n"
)

// RevocationClaims are what a revocation list states (spec/badge.md, "Revocation list").
type RevocationClaims struct {
	// Issuer is the origin whose badges the list is about, and who signs it.
	Issuer string
	// AsOf is the time for which the list is complete, cut to whole seconds.
	AsOf time.Time
	// From is how many revocations of the issuer came before the first of Revoked: all of badges that had
	// expired by AsOf.
	From uint64
	// Base is the head of the issuer's chain of revocations after the first From of them. It is ignored and may
	// be zero when From is 0.
	Base [sha256.Size]byte
	// Revoked are the ids of revoked badges, in the order in which they were revoked.
	Revoked []string
	// DisabledAgents are all subjects that are disabled or suspended and have a badge that has not expired by AsOf.
	DisabledAgents []did.DID
	// WithdrawnKeys are the ids of all keys of the issuer whose badges are no longer to be believed.
	WithdrawnKeys []string
}

// A RevocationList is a list whose signature was verified. It answers as a [StatusSource] for the badges of
// its issuer, without a network: the [Verifier] judges whether it is recent enough. It is immutable.
type RevocationList struct {
	issuer        string
	asOf          time.Time
	from, to      uint64
	base, head    [sha256.Size]byte
	order         []string
	revoked, keys map[string]bool
	disabled      map[string]bool
}

// Issuer returns whose badges the list is about.
func (l *RevocationList) Issuer() string { return l.issuer }

// AsOf returns the time for which the list is complete.
func (l *RevocationList) AsOf() time.Time { return l.asOf }

// Cursor returns the range of the issuer's revocations that the list names: after the first from, up to and
// including number to.
func (l *RevocationList) Cursor() (from, to uint64) { return l.from, l.to }

// Head returns the head of the issuer's chain of revocations at the end of the list.
func (l *RevocationList) Head() [sha256.Size]byte { return l.head }

// Status implements [StatusSource].
func (l *RevocationList) Status(_ context.Context, q StatusQuery) (Status, error) {
	if q.Issuer != l.issuer {
		return Status{}, fmt.Errorf("badge: revocation list of %q asked about a badge of %q", l.issuer, q.Issuer)
	}
	return Status{
		Revoked:       l.revoked[q.BadgeID],
		AgentDisabled: l.disabled[q.Subject.String()],
		KeyWithdrawn:  l.keys[q.IssuerKeyID],
		AsOf:          l.asOf,
	}, nil
}

// Follows returns nil when l can replace old: it is of the same issuer, not earlier, and continues the same
// chain of revocations. A list that does not follow is a rollback or a second history, and is not used.
func (l *RevocationList) Follows(old *RevocationList) error {
	switch {
	case l.issuer != old.issuer:
		return fmt.Errorf("badge: revocation list of %q does not follow one of %q", l.issuer, old.issuer)
	case l.asOf.Before(old.asOf) || l.to < old.to:
		return errors.New("badge: revocation list is older than the one it is to replace")
	case l.from > old.to:
		return nil // the revocations between are of badges that expired: nothing to compare
	case l.headAt(old.to) != old.head:
		return errors.New("badge: revocation list has another history than the one it is to replace: report both")
	}
	return nil
}

// headAt returns the head of the chain after the first n revocations; from <= n <= to.
func (l *RevocationList) headAt(n uint64) [sha256.Size]byte {
	return extend(l.base, l.order[:n-l.from])
}

// emptyHead is where the chain of an issuer begins.
func emptyHead(issuer string) [sha256.Size]byte {
	return sha256.Sum256([]byte(revocationContext + issuer))
}

func extend(head [sha256.Size]byte, ids []string) [sha256.Size]byte {
	for _, id := range ids {
		head = sha256.Sum256(append(head[:], id...))
	}
	return head
}

// revocationPayload is the JSON of a list.
type revocationPayload struct {
	Issuer         string    `json:"iss"`
	AsOf           int64     `json:"as_of"`
	From           *uint64   `json:"from"`
	To             *uint64   `json:"to"`
	Base           string    `json:"base"`
	Head           string    `json:"head"`
	Revoked        *[]string `json:"revoked"`
	DisabledAgents *[]string `json:"disabled_agents"`
	WithdrawnKeys  *[]string `json:"withdrawn_keys"`
}

// SignRevocationList signs a list with a key of the issuer. It refuses what [ParseRevocationList] would
// refuse.
func SignRevocationList(key *IssuerKey, c *RevocationClaims) (string, error) {
	if key == nil || key.Signer == nil || key.KeyID == "" {
		return "", errors.New("badge: signing a revocation list takes an IssuerKey with KeyID and Signer")
	}
	if key.Issuer != c.Issuer {
		return "", fmt.Errorf("badge: key of %q for a revocation list of %q", key.Issuer, c.Issuer)
	}
	base := c.Base
	if c.From == 0 {
		base = emptyHead(c.Issuer)
	}
	to := c.From + uint64(len(c.Revoked))
	agents := make([]string, len(c.DisabledAgents))
	for i, d := range c.DisabledAgents {
		agents[i] = d.String()
	}
	revoked, withdrawn := nonNil(c.Revoked), nonNil(c.WithdrawnKeys)
	text, err := jcs.Marshal(&revocationPayload{
		Issuer: c.Issuer, AsOf: c.AsOf.Unix(), From: &c.From, To: &to,
		Base: formatHash(base), Head: formatHash(extend(base, c.Revoked)),
		Revoked: &revoked, DisabledAgents: &agents, WithdrawnKeys: &withdrawn,
	})
	if err != nil {
		return "", fmt.Errorf("badge: revocation list: %w", err)
	}
	if _, err := readRevocationList(text, c.Issuer, key.KeyID); err != nil {
		return "", err
	}
	h := jws.Header{Typ: revocationTyp, Kid: key.KeyID}
	return jws.SignMax(h, text, key.Signer, MaxRevocationListBytes)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ParseRevocationList verifies a list with the issuer's keys. Any error means that the list must not be used
// and the status of the issuer's badges is not known from it.
func ParseRevocationList(token, issuer string, keys []Key) (*RevocationList, error) {
	m, err := jws.ParseMax(token, MaxRevocationListBytes)
	if err != nil {
		return nil, fmt.Errorf("badge: revocation list: %w", err)
	}
	if m.Typ != revocationTyp {
		return nil, fmt.Errorf("badge: revocation list: typ is %.40q: want %q", m.Typ, revocationTyp)
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == m.Kid })
	if m.Kid == "" || i < 0 {
		return nil, fmt.Errorf("badge: revocation list: kid is %.100q, which is not a key of %q", m.Kid, issuer)
	}
	if err := m.Verify(keys[i].Public); err != nil {
		return nil, fmt.Errorf("badge: revocation list: %w", err)
	}
	return readRevocationList(m.Payload, issuer, m.Kid)
}

func readRevocationList(text []byte, issuer, kid string) (*RevocationList, error) {
	var p revocationPayload
	if err := strictjson.UnmarshalStrict(text, &p); err != nil {
		return nil, fmt.Errorf("badge: revocation list: %w", err)
	}
	if p.From == nil || p.To == nil || p.Revoked == nil || p.DisabledAgents == nil || p.WithdrawnKeys == nil {
		return nil, errors.New("badge: revocation list: a member is missing")
	}
	l := &RevocationList{
		issuer: p.Issuer, asOf: time.Unix(p.AsOf, 0).UTC(), from: *p.From, to: *p.To, order: *p.Revoked,
		revoked: set(*p.Revoked), keys: set(*p.WithdrawnKeys), disabled: set(*p.DisabledAgents),
	}
	if err := l.check(issuer, kid, p.AsOf); err != nil {
		return nil, err
	}
	if err := l.readChain(p.Base, p.Head); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *RevocationList) readChain(base, head string) error {
	if !isHash(base) || !isHash(head) {
		return errors.New("badge: revocation list: base or head is not sha256: and 32 bytes of base64url")
	}
	l.base, l.head = parseHash(base), parseHash(head)
	switch {
	case l.from == 0 && l.base != emptyHead(l.issuer):
		return errors.New("badge: revocation list: it begins at the first revocation with another base than that")
	case l.to < l.from || l.to-l.from != uint64(len(l.order)):
		return errors.New("badge: revocation list: its range is not as long as the list")
	case extend(l.base, l.order) != l.head:
		return errors.New("badge: revocation list: its head does not follow from its base")
	}
	return nil
}

func (l *RevocationList) check(issuer, kid string, asOf int64) error {
	switch {
	case l.issuer != issuer:
		return fmt.Errorf("badge: revocation list: it is of %.100q, not of %q", l.issuer, issuer)
	case checkOrigin(l.issuer) != "":
		return fmt.Errorf("badge: revocation list: issuer %q is not an https origin: %s", issuer, checkOrigin(issuer))
	case asOf <= 0 || asOf > maxTime:
		return errors.New("badge: revocation list: as_of is not a time")
	case l.keys[kid]:
		return fmt.Errorf("badge: revocation list: signed with the key %.100q that it withdraws", kid)
	case len(l.revoked) != len(l.order):
		return errors.New("badge: revocation list: it revokes a badge twice")
	}
	for _, id := range l.order {
		if !isUUID4(id) {
			return fmt.Errorf("badge: revocation list: %.40q is not the id of a badge", id)
		}
	}
	for agent := range l.disabled {
		if _, err := did.Parse(agent); err != nil {
			return fmt.Errorf("badge: revocation list: %w", err)
		}
	}
	return nil
}

func set(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[s] = true
	}
	return m
}

func formatHash(h [sha256.Size]byte) string {
	return hashPrefix + base64.RawURLEncoding.EncodeToString(h[:])
}

// parseHash reads what isHash accepts.
func parseHash(s string) [sha256.Size]byte {
	var h [sha256.Size]byte
	_, _ = base64.RawURLEncoding.Decode(h[:], []byte(s[len(hashPrefix):]))
	return h
}
