package domain

import (
	"net/netip"
	"slices"
	"strings"
)

// Lengths of a domain name, in bytes, as text without a final dot (RFC 1035 section 2.3.4).
const (
	MaxDomainBytes = 253
	maxLabelBytes  = 63
)

// reservedTLDs are top-level names that no registry of the public DNS delegates: the special-use names of IANA
// (RFC 6761 and its successors), the names that ICANN keeps from delegation because private networks use
// them, and what home routers and clusters are known to answer for.
var reservedTLDs = []string{
	"alt", "arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain",
	"localhost", "mail", "onion", "private", "test", "workgroup",
}

// CheckDomain returns the one spelling of a domain name, in lower case, or an *[Error] with a DOMAIN code. It
// accepts a fully qualified host name of the public DNS and nothing else. Names in other alphabets are accepted
// as A-labels only, so that what is validated, compared and shown is the same text for everybody.
func CheckDomain(s string) (string, error) {
	if err := checkShape(s); err != nil {
		return "", err
	}
	name := strings.ToLower(s) // ASCII by now
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	top := labels[len(labels)-1]
	switch {
	case '0' <= top[0] && top[0] <= '9':
		return "", refuse(CodeDomainIPAddress, "%.80q ends like an IP address: give a host name", s)
	case len(labels) == 1:
		return "", refuse(CodeDomainSingleLabel, "%.80q has one label: give a fully qualified name", s)
	case slices.Contains(reservedTLDs, top):
		return "", refuse(CodeDomainReserved, "names below %q are not in the public DNS", top)
	case !isTopLevel(top):
		return "", refuse(CodeDomainSyntax, "%.80q does not end in a top-level domain", s)
	}
	return name, nil
}

// checkShape refuses what is more than a name, or another way to write one.
func checkShape(s string) error {
	switch {
	case s == "":
		return refuse(CodeDomainSyntax, "no domain given")
	case len(s) > MaxDomainBytes:
		return refuse(CodeDomainTooLong, "a name of %d bytes: at most %d", len(s), MaxDomainBytes)
	case strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }):
		return refuse(CodeDomainNotASCII, "%.80q is not ASCII: write it in A-labels (xn--)", s)
	case isAddress(s):
		return refuse(CodeDomainIPAddress, "%.80q is an IP address: give a host name", s)
	case strings.ContainsAny(s, `:/\@?#%[]`):
		return refuse(CodeDomainNotBare, "%.80q is more than a name: leave out scheme, user, port and path", s)
	case strings.Contains(s, "*"):
		return refuse(CodeDomainWildcard, "%.80q is a wildcard: each name is validated for itself", s)
	case strings.HasSuffix(s, "."):
		return refuse(CodeDomainTrailingDot, "%.80q ends with a dot: leave it out", s)
	}
	return nil
}

func isAddress(s string) bool {
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return err == nil
}

// checkLabel accepts a letter-digit-hyphen label in lower case. Hyphens in third and fourth place are kept for
// A-labels (RFC 5891 section 4.2.3.1).
func checkLabel(label string) error {
	switch {
	case label == "":
		return refuse(CodeDomainSyntax, "an empty label")
	case len(label) > maxLabelBytes:
		return refuse(CodeDomainTooLong, "a label of %d bytes: at most %d", len(label), maxLabelBytes)
	case label[0] == '-' || label[len(label)-1] == '-':
		return refuse(CodeDomainSyntax, "label %q begins or ends with a hyphen", label)
	case len(label) >= 4 && label[2:4] == "--" && label[:2] != "xn":
		return refuse(CodeDomainSyntax, "label %q has hyphens where only A-labels (xn--) have them", label)
	}
	for i := 0; i < len(label); i++ {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return refuse(CodeDomainSyntax, "character %q in a label", c)
		}
	}
	return nil
}

// isTopLevel reports whether a label can be a top-level domain: letters alone, two at least, or an A-label
// (RFC 1123 section 2.1; RFC 3696 section 2).
func isTopLevel(label string) bool {
	if strings.HasPrefix(label, "xn--") {
		return true
	}
	return len(label) >= 2 && !strings.ContainsFunc(label, func(r rune) bool { return r < 'a' || r > 'z' })
}
