package witness

import (
	"bytes"
	"strings"
	"testing"
)

const hashLine = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"

func TestParseRequest(t *testing.T) {
	r, err := ParseRequest([]byte("old 20852014\n" + hashLine + hashLine + "\nexample.com/log\n1\nx\n\n\u2014 a b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Old != 20852014 || len(r.Proof) != 2 || !strings.HasPrefix(string(r.Checkpoint), "example.com/log\n1\n") {
		t.Errorf("got %+v", r)
	}
	for _, text := range []string{
		"", "\n", "old 1", "old 1\n", "old 1\n\n", "old\n\nx", "old \n\nx", "Old 1\n\nx", "old  1\n\nx", "old 01\n\nx", "old -1\n\nx", "old +1\n\nx",
		"old 1 \n\nx", "old 1\r\n\r\nx", "old 9223372036854775808\n\nx", "old 99999999999999999999\n\nx",
		"old 1\n" + hashLine, "old 1\n" + hashLine[1:] + "\nx", "old 1\n" + strings.TrimSpace(hashLine) + " \n\nx",
		"old 1\n" + strings.Replace(hashLine, "w=", "x=", 1) + "\nx", // bits that no byte has
		"old 1\n" + strings.ReplaceAll(hashLine, "+", "-") + "!\n\nx",
		"old 1\nAAAA\n\nx", "old 1\n" + strings.Repeat(hashLine, 64) + "\nx",
		"old 1\n\n" + strings.Repeat("x", MaxCheckpointBytes+1),
		"old 1\n\n" + strings.Repeat("x", MaxRequestBytes),
	} {
		if _, err := ParseRequest([]byte(text)); err == nil {
			t.Errorf("%.60q was read", text)
		}
	}
	if _, err := (&Request{Checkpoint: nil}).MarshalText(); err == nil {
		t.Error("a request without a checkpoint was written")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("old 20852014\n" + hashLine + "\nexample.com/log\n1\nx\n\n\u2014 a b\n"))
	f.Add([]byte("old 0\n\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			return
		}
		again, err := r.MarshalText()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was read and written as %q, %v", b, again, err)
		}
	})
}
