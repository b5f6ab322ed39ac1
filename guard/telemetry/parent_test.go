package telemetry

import (
	"strings"
	"testing"
)

const goodParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParseParent(t *testing.T) {
	for parent, want := range map[string]bool{
		goodParent: true,
		strings.Replace(goodParent, "-01", "-00", 1): true,
		strings.Replace(goodParent, "-01", "-ff", 1): true, // flags that are not known yet
		"cc" + goodParent[2:]:                        true, // a later version
		"cc" + goodParent[2:] + "-more":              true,
		"cc" + goodParent[2:] + "more":               false,
		goodParent + "-more":                         false,
		goodParent + " ":                             false,
		" " + goodParent:                             false,
		"ff" + goodParent[2:]:                        false,
		strings.ToUpper(goodParent):                  false,
		"0x" + goodParent[2:]:                        false,
		goodParent[:54]:                              false,
		"":                                           false,
		"x":                                          false,
		strings.Replace(goodParent, "4bf92f3577b34da6a3ce929d0e0e4736", strings.Repeat("0", 32), 1): false,
		strings.Replace(goodParent, "00f067aa0ba902b7", strings.Repeat("0", 16), 1):                 false,
		strings.ReplaceAll(goodParent, "-", "_"):                                                    false,
		"cc" + goodParent[2:] + "-" + strings.Repeat("x", 512):                                      false,
	} {
		if _, ok := parseParent(parent, ""); ok != want {
			t.Errorf("parseParent(%q) = %v", parent, ok)
		}
	}
}

func TestParseParentState(t *testing.T) {
	for state, want := range map[string]string{
		"":                                 "",
		"rojo=00f067aa0ba902b7,congo=t61r": "rojo=00f067aa0ba902b7,congo=t61r",
		"rojo=1,rojo=2":                    "",
		"=":                                "",
		"a=" + strings.Repeat("x", 600):    "",
		"a=eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln": "",
	} {
		sc, ok := parseParent(goodParent, state)
		if got := sc.TraceState().String(); !ok || got != want || !sc.IsRemote() || !sc.IsSampled() {
			t.Errorf("tracestate %q: %q, %+v", state, got, sc)
		}
	}
}

// FuzzParseParent: what is accepted is the text that its ids and flags make, in version 00.
func FuzzParseParent(f *testing.F) {
	f.Add(goodParent, "rojo=1")
	f.Add("cc"+goodParent[2:]+"-x", "a@b=1, c=2")
	f.Fuzz(func(t *testing.T, parent, state string) {
		sc, ok := parseParent(parent, state)
		if !ok {
			if sc.IsValid() {
				t.Fatal("refused, and valid")
			}
			return
		}
		if !sc.IsValid() || !sc.IsRemote() {
			t.Fatalf("%q: %+v", parent, sc)
		}
		if want := "-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-"; parent[2:53] != want {
			t.Fatalf("%q was read as %q", parent, want)
		}
		if parent[:2] == "00" && len(parent) != 55 {
			t.Fatalf("%q was accepted", parent)
		}
	})
}
