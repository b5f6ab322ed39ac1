package workload

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/strictyaml"
)

// Limits of a rule file.
const (
	MaxRuleBytes = 256 << 10
	MaxRules     = 4096
	maxID        = 64
)

// FormatVersion is the value of the member version of a rule file.
const FormatVersion = 1

// ParseRules reads a rule file (spec/workload.md section 5). Its errors say line
// and column.
func ParseRules(data []byte) (*Rules, error) {
	root, err := strictyaml.Document(data, MaxRuleBytes)
	if err != nil {
		return nil, fmt.Errorf("workload: rules: %w", err)
	}
	r := new(Rules)
	if err := r.read(root); err != nil {
		return nil, fmt.Errorf("workload: rules: %w", err)
	}
	return r, nil
}

func (r *Rules) read(root *yaml.Node) error {
	var version, list *yaml.Node
	err := strictyaml.Mapping(root, "the file", func(name string, _, value *yaml.Node) (bool, error) {
		switch name {
		case "version":
			version = value
		case "principals":
			list = value
		default:
			return false, nil
		}
		return true, nil
	})
	switch {
	case err != nil:
		return err
	case version == nil:
		return strictyaml.At(root, "the file has no version; write \"version: %d\"", FormatVersion)
	case version.Kind != yaml.ScalarNode || version.ShortTag() != "!!int" || version.Value != strconv.Itoa(FormatVersion):
		return strictyaml.At(version, "version is not %d", FormatVersion)
	case list == nil:
		return strictyaml.At(root, "the file has no principals")
	case list.Kind != yaml.SequenceNode:
		return strictyaml.At(list, "principals is not a list")
	case len(list.Content) == 0:
		return strictyaml.At(list, "principals is empty: nobody would be mapped; leave the file out instead")
	case len(list.Content) > MaxRules:
		return strictyaml.At(list, "more than %d principals", MaxRules)
	}
	seen := make(map[string]bool, len(list.Content))
	for _, n := range list.Content {
		next, err := readRule(n)
		if err != nil {
			return err
		}
		if seen[next.mapping.Rule] {
			return strictyaml.At(n, "two principals have the id %q", next.mapping.Rule)
		}
		seen[next.mapping.Rule] = true
		r.rules = append(r.rules, next)
	}
	return nil
}

func readRule(n *yaml.Node) (rule, error) {
	var r rule
	have := make(map[string]bool, 4)
	err := strictyaml.Mapping(n, "a principal", func(name string, _, value *yaml.Node) (known bool, err error) {
		have[name] = true
		switch name {
		case "id":
			r.mapping.Rule, err = identifier(value)
		case "match":
			r.match, err = readMatch(value)
		case "level":
			r.mapping.Level, err = level(value)
		case "actor":
			r.mapping.ActorClass, err = actor(value)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return rule{}, err
	}
	for _, name := range []string{"id", "match", "level", "actor"} {
		if !have[name] {
			return rule{}, strictyaml.At(n, "a principal has no %s", name)
		}
	}
	return r, nil
}

func readMatch(n *yaml.Node) (match, error) {
	var m match
	have := make(map[string]*yaml.Node, 2)
	err := strictyaml.Mapping(n, "match", func(name string, _, value *yaml.Node) (known bool, err error) {
		have[name] = value
		return m.set(name, value)
	})
	if err != nil {
		return match{}, err
	}
	conditions := len(have)
	if have["jwt_svid"] != nil {
		conditions--
	}
	if have["uid"] != nil && have["gid"] != nil {
		conditions--
	}
	ofID := have["spiffe_id"] != nil || have["spiffe_id_prefix"] != nil || have["trust_domain"] != nil
	switch {
	case conditions == 0:
		return match{}, strictyaml.At(n, "match names nothing")
	case conditions > 1:
		return match{}, strictyaml.At(n, "match names several things; only uid and gid go together")
	case have["jwt_svid"] != nil && !ofID:
		return match{}, strictyaml.At(have["jwt_svid"], "jwt_svid means nothing without a SPIFFE ID or a trust domain")
	}
	return m, nil
}

func (m *match) set(name string, value *yaml.Node) (known bool, err error) {
	switch name {
	case "spiffe_id":
		m.id, err = spiffeID(value)
	case "spiffe_id_prefix":
		var id spiffeid.ID
		id, err = spiffeID(value)
		m.prefix = id.String()
	case "trust_domain":
		m.trustDomain, err = trustDomain(value)
	case "jwt_svid":
		m.jwt, err = isTrue(value)
	case "dns":
		m.dns, err = plain(value, name)
	case "uri":
		m.uri, err = plain(value, name)
	case "email":
		m.email, err = plain(value, name)
	case "certificate":
		m.certificate, err = certificateHash(value)
	case "uid":
		m.uid, err = number(value, name)
	case "gid":
		m.gid, err = number(value, name)
	default:
		return false, nil
	}
	return true, err
}

func spiffeID(n *yaml.Node) (spiffeid.ID, error) {
	s, err := strictyaml.Text(n, "a SPIFFE ID")
	if err != nil {
		return spiffeid.ID{}, err
	}
	id, err := spiffeid.FromString(s)
	if err != nil {
		return spiffeid.ID{}, strictyaml.At(n, "SPIFFE ID %q: %v", s, err)
	}
	return id, nil
}

func trustDomain(n *yaml.Node) (spiffeid.TrustDomain, error) {
	s, err := strictyaml.Text(n, "trust_domain")
	if err != nil {
		return spiffeid.TrustDomain{}, err
	}
	td, err := spiffeid.TrustDomainFromString(s)
	if err != nil || td.Name() != s {
		return spiffeid.TrustDomain{}, strictyaml.At(n, "trust_domain %q is not the name of a trust domain, such as example.org", s)
	}
	return td, nil
}

func isTrue(n *yaml.Node) (bool, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" {
		return false, strictyaml.At(n, "jwt_svid is not true; leave it out instead")
	}
	return true, nil
}

// plain reads a name of a certificate. Names are compared by their bytes, so that
// a pattern would match nothing.
func plain(n *yaml.Node, what string) (string, error) {
	s, err := strictyaml.Text(n, what)
	if err != nil {
		return "", err
	}
	if s == "" || strings.ContainsAny(s, "* \t\r\n") {
		return "", strictyaml.At(n, "%s %q is empty, or has a space or a '*'; names are compared as they are", what, s)
	}
	return s, nil
}

func certificateHash(n *yaml.Node) (string, error) {
	s, err := strictyaml.Text(n, "certificate")
	if err != nil {
		return "", err
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(s, "sha256:"))
	if err != nil || len(b) != 32 || hashText([32]byte(b)) != s {
		return "", strictyaml.At(n, "certificate %q is not sha256: and 32 bytes of base64url", s)
	}
	return s, nil
}

func number(n *yaml.Node, what string) (*uint32, error) {
	v, err := strconv.ParseUint(n.Value, 10, 32)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || n.Value != strconv.FormatUint(v, 10) {
		return nil, strictyaml.At(n, "%s is not a number from 0 to 4294967295 in decimal", what)
	}
	out := uint32(v)
	return &out, nil
}

// identifier admits [A-Za-z0-9][A-Za-z0-9_.-]*, as a policy does.
func identifier(n *yaml.Node) (string, error) {
	s, err := strictyaml.Text(n, "id")
	if err != nil {
		return "", err
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '-') {
			return "", strictyaml.At(n, "id %q has a character that is not a letter, a digit, or after the first '_', '.' or '-'", s)
		}
	}
	if s == "" || len(s) > maxID {
		return "", strictyaml.At(n, "an id has 1 to %d characters", maxID)
	}
	return s, nil
}

func level(n *yaml.Node) (badge.Level, error) {
	if tag := n.ShortTag(); n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!str") {
		if l, err := badge.ParseLevel(n.Value); err == nil {
			return l, nil
		}
	}
	return badge.LevelNone, strictyaml.At(n, "level is not one of 0 to 4")
}

func actor(n *yaml.Node) (ActorClass, error) {
	s, err := strictyaml.Text(n, "actor")
	if err != nil {
		return "", err
	}
	switch c := ActorClass(s); c {
	case Human, SupervisedAI, Automation, ServiceAccount:
		return c, nil
	}
	return "", strictyaml.At(n, "actor %q is not one of human, supervised_ai, automation and service_account", s)
}
