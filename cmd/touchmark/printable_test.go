package main

import (
	"bytes"
	"encoding/json"
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

// TestJSONIsInert: it says the same, and steers no terminal.
func TestJSONIsInert(t *testing.T) {
	const text = "a\x1b\x7f\u009b2J\u202e\u200b\U000e0041é日\U0001f600\n\"\\"
	var out bytes.Buffer
	con := newConsole(strings.NewReader(""), &out, &out)
	if err := con.line(map[string]string{"text": text}); err != nil {
		t.Fatal(err)
	}
	want := `{"text":"a\u001b\u007f\u009b2J\u202e\u200b\udb40\udc41é日😀\n\"\\"}` + "\n"
	if out.String() != want {
		t.Errorf("printed %s, want %s", out.String(), want)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != text {
		t.Errorf("read back as %q, %v", back["text"], err)
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
