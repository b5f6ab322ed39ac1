package main

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/did"
)

// subjects are those that a monitor looks for: one DID, or all of a domain.
type subjects interface {
	// has reports whether an entry is about one of them, by name or by hash.
	has(e *authority.Entry) bool
	String() string
}

func readSubjects(ctx *cli.Context) (subjects, error) {
	one, name := ctx.String("issuance"), ctx.String("domain")
	if (one == "") == (name == "") {
		return nil, usagef("%s needs one of --issuance DID and --domain NAME", commandName(ctx))
	}
	if one != "" {
		d, err := did.Parse(one)
		return oneSubject{d}, malformed(err)
	}
	d, err := did.FromWebURL("https://" + name)
	if err != nil || d.String() != "did:web:"+name {
		return nil, hint(usagef("--domain %q is no domain name", name), "in lower case, without scheme, port and path, as in: --domain acme.com")
	}
	return &domainSubjects{name: name, hashes: map[string]map[string]bool{}}, nil
}

type oneSubject struct{ did did.DID }

func (s oneSubject) String() string { return s.did.String() }

func (s oneSubject) has(e *authority.Entry) bool {
	return e.Subject == s.String() || e.SubjectHash != "" && e.SubjectHash == authority.SubjectHash(e.Issuer, s.String())
}

// domainSubjects are a domain, and each did:web of it with any port and path.
type domainSubjects struct {
	name   string
	hashes map[string]map[string]bool // by issuer: how its log names the domain and its ports
}

// maxIssuers bounds the issuers in one log whose hashes are kept. A log has one.
const maxIssuers = 16

func (s *domainSubjects) String() string { return s.name }

func (s *domainSubjects) has(e *authority.Entry) bool {
	if e.Domain == s.name || isBelow(e.Subject, s.name) {
		return true
	}
	if e.HostHash == "" && e.DomainHash == "" {
		return false
	}
	known := s.hashed(e.Issuer)
	return known[e.HostHash] || known[e.DomainHash]
}

// isBelow reports whether a DID is a did:web of a host, with any port and path.
func isBelow(subject, host string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(subject), "did:web:"+host)
	return ok && (rest == "" || rest[0] == ':' || strings.HasPrefix(rest, "%3a"))
}

// hashed returns the hashes of the domain with each port: there are few enough
// to try them all.
func (s *domainSubjects) hashed(issuer string) map[string]bool {
	if known, ok := s.hashes[issuer]; ok {
		return known
	}
	known := make(map[string]bool, 1<<16+1)
	known[authority.SubjectHash(issuer, s.name)] = true
	for port := range 1 << 16 {
		known[authority.SubjectHash(issuer, s.name+":"+strconv.Itoa(port))] = true
	}
	if len(s.hashes) >= maxIssuers {
		clear(s.hashes)
	}
	s.hashes[issuer] = known
	return known
}
