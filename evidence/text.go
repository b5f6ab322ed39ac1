package evidence

import (
	"crypto/sha256"
	"strings"
	"unicode/utf8"
)

// Limits of text members, in bytes.
const (
	maxTarget = 1024 // of what may be a URI, or several hosts
	maxText   = 256  // of every other text that may come from a caller
	maxToken  = 64   // of words that the server itself chooses
)

// recordText returns s as a record may hold it: itself, when it is plain text of at most limit bytes, and else
// the text of its hash. Text that looks like a hash is hashed too, so that nobody can pass one thing off as
// the hash of another.
func recordText(s string, limit int) string {
	if plainText(s, limit) {
		return s
	}
	return hashText(s).String()
}

// hashText hashes s without a copy of it on the heap, or a large one on the stack, which would have to grow.
func hashText(s string) (sum Hash) {
	var room [512]byte
	h := sha256.New()
	for len(s) > 0 {
		n := copy(room[:], s)
		h.Write(room[:n])
		s = s[n:]
	}
	h.Sum(sum[:0])
	return sum
}

// textAllowed reports whether s is something that recordText returns.
func textAllowed(s string, limit int) bool {
	if strings.HasPrefix(s, hashPrefix) {
		_, err := ParseHash(s)
		return err == nil
	}
	return plainText(s, limit)
}

func plainText(s string, limit int) bool {
	if len(s) > limit || strings.HasPrefix(s, hashPrefix) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf {
			return plainUnicode(s[i:])
		} else if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// invisible are the characters outside ASCII that do not show, or make others show in another order. The
// list is fixed here and in spec/evidence.md section 2.4, so that no version of Unicode changes what a record
// may hold.
var invisible = [...]struct{ first, last rune }{
	{0x80, 0x9f}, {0x61c, 0x61c}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
	{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
}

func plainUnicode(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		for _, bad := range &invisible {
			if r <= bad.last {
				if r >= bad.first {
					return false
				}
				break
			}
		}
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

// isToken reports whether s is a word of the kind a program chooses: [A-Za-z][A-Za-z0-9_.-]*, at most 64 bytes.
func isToken(s string) bool {
	if s == "" || len(s) > maxToken || !isLetter(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// isCode reports whether s has the form of a reason code: [A-Z][A-Z0-9_]*, at most 64 bytes.
func isCode(s string) bool {
	if s == "" || len(s) > maxToken || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'A' || c > 'Z') && !isDigit(c) && c != '_' {
			return false
		}
	}
	return true
}

// isUUID4 reports whether s is a UUID of version 4 in lower case.
func isUUID4(s string) bool {
	if len(s) != 36 || s[14] != '4' || strings.IndexByte("89ab", s[19]) < 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isLevel(s string) bool { return len(s) == 1 && s[0] >= '0' && s[0] <= '4' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
