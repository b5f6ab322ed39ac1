package badge

import (
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// memberCertificate is the confirmation method of RFC 8705 section 3.1.
const memberCertificate = "x5t#S256"

// readCertificate reads the member of cnf that binds a badge to the certificate of a TLS client. It stands
// beside kid, never in its place.
func (c *claims) readCertificate(v strictjson.Value) *RejectedError {
	if v.Kind() == 0 {
		return nil
	}
	const claim = "cnf." + memberCertificate
	s, err := text(claim, v)
	if err != nil {
		return err
	}
	if !isDigest(s) {
		return refuseClaim(claim, "is not 32 bytes of base64url")
	}
	c.certificate = s
	return nil
}

// readSPIFFEID reads the claim that binds a badge to a workload identity.
func (c *claims) readSPIFFEID(v strictjson.Value) *RejectedError {
	if v.Kind() == 0 {
		return nil
	}
	s, err := text("spiffe_id", v)
	if err != nil {
		return err
	}
	if !isSPIFFEID(s) {
		return refuseClaim("spiffe_id", "is not the SPIFFE ID of a workload")
	}
	c.spiffeID = s
	return nil
}

// isSPIFFEID reports whether s has the form spiffe://trust-domain/path of the SPIFFE standard, with a path.
func isSPIFFEID(s string) bool {
	rest, ok := strings.CutPrefix(s, "spiffe://")
	domain, path, hasPath := strings.Cut(rest, "/")
	if !ok || !hasPath || domain == "" || len(domain) > maxTrustDomain || !consists(domain, false) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !consists(segment, true) {
			return false
		}
	}
	return true
}

// maxTrustDomain is the length of the longest name of a trust domain.
const maxTrustDomain = 255

// consists reports whether s has no other characters than SPIFFE allows in a trust domain, or in a path.
func consists(s string, upper bool) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		case 'A' <= c && c <= 'Z' && upper:
		default:
			return false
		}
	}
	return true
}
