package evidence

import (
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// timeLayout has nanoseconds always, so that each instant has one text.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// appendRecord appends the RFC 8785 form of r, which must have passed check.
func appendRecord(b []byte, r *Record) []byte {
	in, unknown := r.Kind().set(), r.Unknown
	b = append(b, '{')
	start := len(b)
	for i := range members {
		m := &members[i]
		for len(unknown) > 0 && unknown[0].Name < m.name {
			b = append(appendName(b, start, unknown[0].Name), unknown[0].JSON...)
			unknown = unknown[1:]
		}
		if m.in&in != 0 {
			b = appendMember(b, start, m, r)
		}
	}
	for _, u := range unknown {
		b = append(appendName(b, start, u.Name), u.JSON...)
	}
	return append(b, '}')
}

// appendName appends a comma unless the object opened just before start is still empty, and the name.
func appendName(b []byte, start int, name string) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	b = append(append(b, '"'), name...)
	return append(b, `":`...)
}

// appendMember appends name and value of m, and nothing when the value is zero.
func appendMember(b []byte, start int, m *member, r *Record) []byte {
	place := m.at(r)
	if !present(place) {
		return b
	}
	return appendValue(appendName(b, start, m.name), place, r)
}

func present(place any) bool {
	switch p := place.(type) {
	case *string:
		return *p != ""
	case *bool:
		return *p
	case *uint64:
		return *p != 0
	case **uint64:
		return *p != nil
	case **string:
		return *p != nil
	case groupPlace:
		return p.present()
	case *time.Duration:
		return *p != 0
	case *Hash:
		return !p.IsZero()
	case *did.DID:
		return !p.IsZero()
	}
	return true
}

// appendValue writes the value at place, which is present. It has no case for places that are present only in
// records that check refuses.
func appendValue(b []byte, place any, r *Record) []byte {
	switch p := place.(type) {
	case *string:
		return appendString(b, *p)
	case **string:
		return appendString(b, **p)
	case groupPlace:
		return appendString(b, p.in.Groups[p.at].String())
	case derived:
		return appendString(b, p(r))
	case *did.DID:
		return appendString(b, p.String())
	case *bool:
		return strconv.AppendBool(b, *p)
	case **uint64:
		return strconv.AppendUint(b, **p, 10)
	case *uint64:
		return strconv.AppendUint(b, *p, 10)
	case *count:
		return strconv.AppendUint(b, uint64(*p), 10)
	case version:
		return strconv.AppendUint(b, Version, 10)
	case *nanoseconds:
		return strconv.AppendInt(b, int64(*p), 10)
	case *Hash:
		return append(p.append(append(b, '"')), '"')
	case *StreamID:
		return append(appendHex(append(b, '"'), p[:]), '"')
	case *time.Time:
		return append(appendTime(append(b, '"'), *p), '"')
	}
	panic("evidence: internal error: no encoding for a member's type")
}

// appendTime appends t in timeLayout. Package time is fast at the part of it that RFC 3339 has.
func appendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // for the Z
	var digits [9]byte
	for i, rest := len(digits)-1, t.Nanosecond(); i >= 0; i, rest = i-1, rest/10 {
		digits[i] = '0' + byte(rest%10)
	}
	return append(append(b, digits[:]...), 'Z')
}

const hexDigits = "0123456789abcdef"

func appendHex(b, raw []byte) []byte {
	for _, c := range raw {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// appendString appends s as RFC 8785 section 3.2.2.2 writes strings. s must be valid UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		b = appendEscape(b, c)
	}
	return append(append(b, s[done:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\t':
		return append(b, `\t`...)
	case '\n':
		return append(b, `\n`...)
	case '\f':
		return append(b, `\f`...)
	case '\r':
		return append(b, `\r`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
