package pin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a [Diff].
const (
	MaxDiffBytes = 16 << 10
	maxShown     = 240 // bytes of one value, before they are escaped
	lead         = 48  // bytes that are shown before the first difference
)

// Diff says in lines of text how one list of tools differs from another. The
// lines are safe to print whatever the lists hold: what a terminal would obey,
// or not show, is escaped. They are bounded by MaxDiffBytes, and say so when
// there is more. The diff of equal lists is "".
func Diff(approved, offered json.RawMessage) (string, error) {
	before, err := parseTools(approved)
	if err != nil {
		return "", err
	}
	after, err := parseTools(offered)
	if err != nil {
		return "", err
	}
	return diff(before, after), nil
}

func diff(before, after *toolList) string {
	if before.digest == after.digest {
		return ""
	}
	w := &diffWriter{}
	var added, removed, changed []string
	for _, name := range after.names {
		switch old := before.byName[name]; {
		case old == nil:
			added = append(added, name)
		case !bytes.Equal(old, after.byName[name]):
			changed = append(changed, name)
		}
	}
	for _, name := range before.names {
		if after.byName[name] == nil {
			removed = append(removed, name)
		}
	}
	w.line("%d changed, %d added, %d removed, of %d tools", len(changed), len(added), len(removed), len(after.names))
	for _, name := range changed {
		w.line("~ tool %s", shown(strconv.Quote(name)))
		w.compare("", decode(before.byName[name]), decode(after.byName[name]))
	}
	for _, name := range added {
		w.line("+ tool %s", shown(strconv.Quote(name)))
		w.line("    %s", shown(string(after.byName[name])))
	}
	for _, name := range removed {
		w.line("- tool %s", shown(strconv.Quote(name)))
	}
	return w.String()
}

// decode reads what parseTools accepted.
func decode(canonical json.RawMessage) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic("pin: internal error: " + err.Error())
	}
	return v
}

// A diffWriter counts the lines that it has no place for.
type diffWriter struct {
	b    strings.Builder
	more int
}

func (w *diffWriter) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if w.more > 0 || w.b.Len()+len(text) > MaxDiffBytes-64 {
		w.more++
		return
	}
	w.b.WriteString(text)
}

func (w *diffWriter) String() string {
	if w.more > 0 {
		return w.b.String() + fmt.Sprintf("and %d lines more\n", w.more)
	}
	return w.b.String()
}

// compare writes a line for each member that differs.
func (w *diffWriter) compare(at string, before, after any) {
	old, ok := before.(map[string]any)
	now, ok2 := after.(map[string]any)
	if ok && ok2 {
		for _, name := range slices.Sorted(maps.Keys(old)) {
			value, there := now[name]
			switch {
			case !there:
				w.line("  - %s: %s", join(at, name), shown(text(old[name])))
			case !reflect.DeepEqual(old[name], value):
				w.compare(join(at, name), old[name], value)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if _, there := old[name]; !there {
				w.line("  + %s: %s", join(at, name), shown(text(now[name])))
			}
		}
		return
	}
	a, b := text(before), text(after)
	from := commonPrefix(a, b)
	w.line("  - %s: %s", at, excerpt(a, from))
	w.line("  + %s: %s", at, excerpt(b, from))
}

// join adds a member's name to a path, quoted unless it is a plain word.
func join(at, name string) string {
	plain := name != ""
	for _, r := range name {
		plain = plain && (r == '_' || r == '-' || r == '$' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)))
	}
	if !plain || len(name) > maxShown {
		name = shown(strconv.Quote(name))
	}
	if at == "" {
		return name
	}
	return at + "." + name
}

func text(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("pin: internal error: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// commonPrefix returns how many bytes two texts have in common at the start, up
// to the start of a character.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && (n < len(a) && !utf8.RuneStart(a[n]) || n < len(b) && !utf8.RuneStart(b[n])) {
		n--
	}
	return n
}

// excerpt shows a text from shortly before a place on.
func excerpt(s string, from int) string {
	start := max(0, from-lead)
	for start > 0 && !utf8.RuneStart(s[start]) {
		start--
	}
	if start == 0 {
		return shown(s)
	}
	return fmt.Sprintf("[%d bytes alike] %s", start, shown(s[start:]))
}

// shown is a text, escaped, and cut with a word on how long it is.
func shown(s string) string {
	if len(s) <= maxShown {
		return escape(s)
	}
	end := maxShown
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s [and %d bytes more]", escape(s[:end]), len(s)-end)
}

// escape replaces what a terminal would obey, or not show: control characters,
// invisible ones, those that change the direction of text, and marks that
// combine with the character before.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) && !unicode.In(r, unicode.Mn, unicode.Me) && !strings.ContainsRune(blanks, r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// blanks are letters and symbols by name that nobody sees.
const blanks = "\u115f\u1160\u2800\u3164\uffa0"
