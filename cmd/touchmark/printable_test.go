package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain, é, 日本\n\tmore": "plain, é, 日本\n\tmore",
		"\x1b[2J\r\x07":        `\x1b[2J\r\a`,
		"a\u009b31mb":          `a\u009b31mb`,
		"\u202etxt.exe\u2066":  `\u202etxt.exe\u2066`,
		"\xffa\u200b":          `\xffa\u200b`,
		"":                     "",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestRemarksAreInert: what a server wrote into an error neither steers the
// terminal nor passes for a line of ours.
func TestRemarksAreInert(t *testing.T) {
	var out, errOut bytes.Buffer
	con := newConsole(strings.NewReader(""), &out, &errOut)
	con.note("evidence %s", "\x1b[1A\x1b[2K\u009b2J")
	con.explain(errors.New("refused: no\ntouchmark: accepted\x1b[8m"))
	want := "evidence \\x1b[1A\\x1b[2K\\u009b2J\ntouchmark: refused: no\n  touchmark: accepted\\x1b[8m\n"
	if errOut.String() != want {
		t.Errorf("printed %q, want %q", errOut.String(), want)
	}
	// What is not looked at stays as it is.
	if err := con.result(nil, "\x1b[8m"); err != nil || out.String() != "\x1b[8m\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		defer null.Close()
		if !isTerminal(null) {
			t.Error("a device is not looked at")
		}
	}
}
