package workload

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/touchmark-dev/touchmark/badge"
)

// An ActorClass says what kind of actor a principal is, in the words of the
// published protocol.
type ActorClass string

// The classes of actors.
const (
	Human          ActorClass = "human"
	SupervisedAI   ActorClass = "supervised_ai"
	Automation     ActorClass = "automation"
	ServiceAccount ActorClass = "service_account"
)

// A Mapping is what [Rules] say of a principal.
type Mapping struct {
	Rule       string // id of the rule
	Level      badge.Level
	ActorClass ActorClass
}

// Rules map principals to what they mean (spec/workload.md section 5). Make them
// with [ParseRules]; the zero Rules map nobody. They are immutable.
type Rules struct {
	rules []rule
}

type rule struct {
	mapping Mapping
	match   match
}

// match is one condition, or uid and gid together.
type match struct {
	id          spiffeid.ID
	prefix      string // a SPIFFE ID; itself, and what is below it by whole segments
	trustDomain spiffeid.TrustDomain
	jwt         bool // also JWT-SVIDs

	dns, uri, email string
	certificate     string // "sha256:..."

	uid, gid *uint32
}

// Map returns what the first rule that matches says. Who has no rule is mapped to
// nothing: no level and no class.
func (r *Rules) Map(p *Principal) (m Mapping, ok bool) {
	if r == nil || p == nil {
		return Mapping{}, false
	}
	for i := range r.rules {
		if r.rules[i].match.holds(p) {
			return r.rules[i].mapping, true
		}
	}
	return Mapping{}, false
}

// Authorize is an [Authorizer] that admits who has a rule.
func (r *Rules) Authorize(p *Principal) error {
	if _, ok := r.Map(p); !ok {
		return fmt.Errorf("workload: peer %q has no rule", p.subject)
	}
	return nil
}

func (m *match) holds(p *Principal) bool {
	switch p.scheme {
	case SchemeSPIFFE:
		return m.holdsID(p.id) || m.holdsCertificate(p)
	case SchemeJWTSVID:
		return m.jwt && m.holdsID(p.id)
	case SchemeX509:
		return m.holdsName(p.cert) || m.holdsCertificate(p)
	case SchemeUnix:
		return m.holdsPeer(p)
	}
	return false
}

func (m *match) holdsID(id spiffeid.ID) bool {
	text := id.String()
	switch {
	case !m.id.IsZero():
		return id == m.id
	case m.prefix != "":
		return text == m.prefix || strings.HasPrefix(text, m.prefix+"/")
	case !m.trustDomain.IsZero():
		return id.TrustDomain() == m.trustDomain
	}
	return false
}

func (m *match) holdsCertificate(p *Principal) bool {
	sum, ok := p.CertificateSHA256()
	return ok && m.certificate != "" && hashText(sum) == m.certificate
}

func (m *match) holdsName(c *x509.Certificate) bool {
	switch {
	case m.dns != "":
		return slices.Contains(c.DNSNames, m.dns)
	case m.email != "":
		return slices.Contains(c.EmailAddresses, m.email)
	case m.uri != "":
		for _, u := range c.URIs {
			if u.String() == m.uri {
				return true
			}
		}
	}
	return false
}

func (m *match) holdsPeer(p *Principal) bool {
	peer, ok := p.UnixPeer()
	return ok && (m.uid != nil || m.gid != nil) &&
		(m.uid == nil || *m.uid == peer.UID) && (m.gid == nil || *m.gid == peer.GID)
}
