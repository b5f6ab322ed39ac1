package pin

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
)

// Limits of a known-servers file.
const (
	MaxFileBytes = 1 << 20
	MaxLineBytes = 4096
)

// A SyntaxError says where a known-servers file is not one.
type SyntaxError struct {
	Line   int // counted from 1; 0 for the whole file
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Parse reads the pins of a known-servers file (spec/pins.md section 2). Every
// error is a [*SyntaxError].
func Parse(data []byte) ([]Pin, error) {
	f, err := parseFile(data)
	if err != nil {
		return nil, err
	}
	return f.pins(), nil
}

// A file is a known-servers file with its comments. A line that holds a pin is
// written anew when the pin was changed, and kept as it was otherwise.
type file struct{ lines []line }

type line struct {
	text string // without the line feed
	pin  *Pin   // nil for comments and empty lines
}

const header = "# Servers that are known here, one a line: see spec/pins.md of Touchmark.\n" +
	"# endpoint did key first-seen last-seen tools expires\n"

func parseFile(data []byte) (*file, error) {
	if len(data) > MaxFileBytes {
		return nil, &SyntaxError{0, fmt.Sprintf("more than %d bytes", MaxFileBytes)}
	}
	f := &file{}
	if len(data) == 0 {
		return f, nil
	}
	seen := make(map[string]int)
	for i, text := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		p, err := parseLine(text)
		if err != nil {
			return nil, &SyntaxError{i + 1, err.Error()}
		}
		f.lines = append(f.lines, line{text, p})
		if p == nil {
			continue
		}
		if first := seen[p.Endpoint]; first > 0 {
			return nil, &SyntaxError{i + 1, fmt.Sprintf("endpoint %q has a pin in line %d already", p.Endpoint, first)}
		}
		seen[p.Endpoint] = i + 1
	}
	return f, nil
}

func parseLine(text string) (*Pin, error) {
	if len(text) > MaxLineBytes {
		return nil, fmt.Errorf("more than %d bytes", MaxLineBytes)
	}
	if !utf8.ValidString(text) || strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return nil, errors.New("control characters, or bytes that are not UTF-8")
	}
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 || fields[0][0] == '#' {
		return nil, nil
	}
	if len(fields) != 7 {
		return nil, fmt.Errorf("%d fields, want 7: endpoint did key first-seen last-seen tools expires", len(fields))
	}
	p := &Pin{Endpoint: fields[0], Key: optional(fields[2]), Tools: optional(fields[5])}
	var err error
	if fields[1] != "-" {
		if p.DID, err = did.Parse(fields[1]); err != nil {
			return nil, err
		}
	}
	if p.FirstSeen, err = parseTime(fields[3]); err != nil {
		return nil, err
	}
	if fields[4] != "-" {
		if p.LastSeen, err = parseTime(fields[4]); err != nil {
			return nil, err
		}
	}
	if fields[6] != "-" {
		var until string
		until, p.Forgotten = strings.CutPrefix(fields[6], "~")
		if p.Expires, err = parseTime(until); err != nil {
			return nil, err
		}
	}
	return p, p.check()
}

func optional(field string) string {
	if field == "-" {
		return ""
	}
	return field
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(timeFormat, text)
	if err != nil || t.Format(timeFormat) != text {
		return time.Time{}, fmt.Errorf("%q is not a time like 2026-01-31T23:59:59Z", text)
	}
	return t, nil
}

const timeFormat = "2006-01-02T15:04:05Z"

// check says what keeps p from being a line.
func (p *Pin) check() error {
	canonical, err := endpoint.Canonical(p.Endpoint)
	switch {
	case err != nil:
		return err
	case canonical != p.Endpoint:
		return fmt.Errorf("endpoint %q: write %s", p.Endpoint, canonical)
	case p.DID.IsZero() && p.Key != "":
		return errors.New("a key without a DID")
	case !p.DID.IsZero() && p.Key != Any && !endpoint.IsThumbprint(p.Key):
		return fmt.Errorf("key %q is neither the RFC 7638 thumbprint of one nor %q", p.Key, Any)
	case p.Tools != "" && p.Tools != Any && !endpoint.IsDigest(p.Tools):
		return fmt.Errorf("tools %q are neither a sha256: digest, %q nor -", p.Tools, Any)
	case p.FirstSeen.IsZero():
		return errors.New("no time at which it was first seen")
	case p.Forgotten && p.Expires.IsZero():
		return errors.New("to be forgotten, and not when")
	}
	for _, t := range []time.Time{p.FirstSeen, p.LastSeen, p.Expires} {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
			return fmt.Errorf("the year %d", y)
		}
	}
	return nil
}

// String returns the line of p.
func (p *Pin) String() string {
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(timeFormat)
	}
	until := at(p.Expires)
	if p.Forgotten {
		until = "~" + until
	}
	who := "-"
	if !p.DID.IsZero() {
		who = p.DID.String()
	}
	return strings.Join([]string{p.Endpoint, who, dash(p.Key), at(p.FirstSeen), at(p.LastSeen), dash(p.Tools), until}, " ")
}

func (f *file) pins() []Pin {
	var out []Pin
	for _, l := range f.lines {
		if l.pin != nil {
			out = append(out, *l.pin)
		}
	}
	return out
}

// find returns the index of the line of an endpoint, -1 when it has none.
func (f *file) find(endpoint string) int {
	for i, l := range f.lines {
		if l.pin != nil && l.pin.Endpoint == endpoint {
			return i
		}
	}
	return -1
}

// set replaces the line of p's endpoint, or adds one.
func (f *file) set(p Pin) error {
	p.FirstSeen, p.LastSeen, p.Expires = whole(p.FirstSeen), whole(p.LastSeen), whole(p.Expires)
	if err := p.check(); err != nil {
		return err
	}
	l := line{p.String(), &p}
	if len(l.text) > MaxLineBytes {
		return fmt.Errorf("a line of more than %d bytes", MaxLineBytes)
	}
	if i := f.find(p.Endpoint); i >= 0 {
		f.lines[i] = l
	} else {
		f.lines = append(f.lines, l)
	}
	return nil
}

func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

func (f *file) remove(i int) { f.lines = append(f.lines[:i], f.lines[i+1:]...) }

// note puts a comment above line i.
func (f *file) note(i int, text string) {
	f.lines = append(f.lines[:i], append([]line{{text: "# " + text}}, f.lines[i:]...)...)
}

func (f *file) encode() []byte {
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
