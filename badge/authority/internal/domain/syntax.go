package domain

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// maxUnix is the last second of the year 9999: later ones have no RFC 3339 form.
const maxUnix = 253402300799

// newUUID returns a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// isUUID4 reports whether s is a UUID of version 4 in lower case: one thing has one id.
func isUUID4(s string) bool {
	if len(s) != 36 || s[14] != '4' || strings.IndexByte("89ab", s[19]) < 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		default:
			return false
		}
	}
	return true
}

func isGrantID(s string) bool {
	id, ok := strings.CutPrefix(s, grantPrefix)
	return ok && isUUID4(id)
}

// isVisible reports whether s is 1 to limit visible ASCII characters.
func isVisible(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
