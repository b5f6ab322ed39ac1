package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable replaces what a terminal would obey, or not show, by escapes. Much of
// what is printed comes from servers, logs and files that nobody vouches for.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0]), 16))
		case strconv.IsPrint(r) || r == '\n' || r == '\t':
			b.WriteString(s[:n])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

// remark is printable, with its further lines set in: none of them passes for
// another remark.
func remark(s string) string {
	return strings.ReplaceAll(printable(s), "\n", "\n  ")
}

// isTerminal reports whether somebody may be looking.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
