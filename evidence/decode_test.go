package evidence

import (
	"crypto/ed25519"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// readTwice reads an entry with both readers, which must be of one mind: about what it says, or about the step of
// spec/evidence.md section 3 that it fails. Only between the form of the whole and that of a record may they differ.
func readTwice(t *testing.T, entry []byte) *UnverifiedEntry {
	t.Helper()
	e, err := ParseEntry(entry)
	want, wantErr := referenceParseEntry(entry)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("read: %v, by the reference: %v\n%q", err, wantErr, entry)
	}
	if err != nil {
		either := []Code{CodeMalformed, CodeRecordInvalid}
		code, wantCode := CodeOf(err), CodeOf(wantErr)
		if form := slices.Contains(either, code) && slices.Contains(either, wantCode); code != wantCode && !form {
			t.Fatalf("read: %v, by the reference: %v\n%q", err, wantErr, entry)
		}
		return nil
	}
	if !reflect.DeepEqual(want, e) {
		t.Fatalf("read as %+v, by the reference as %+v\n%q", e.Record, want.Record, entry)
	}
	return e
}

// TestReadersAgree changes each byte of records of every kind, and of an entry, in many ways.
func TestReadersAgree(t *testing.T) {
	s := newTestSigner("server")
	pieces := []string{"", "0", "1", "9", "a", "A", "_", "-", ".", ",", ":", " ", "\n", "\x00", "\"", "\\", "{", "}", "[", "]", "+", "é", "\u2028", "\x80",
		`\"`, `\\`, `\n`, `\u000a`, `\u000b`, `\u000B`, `\/`, `\u0061`, `\ud800`, `\ud83d\ude00`, "00", "e1", "true", "null", `,"a":1`, `,"w":[]`}
	sig := make([]byte, ed25519.SignatureSize) // readers do not look at whose it is
	read, accepted := 0, 0
	// change puts pieces, in turn, before each byte of a text and in its place.
	change := func(text []byte, entry func([]byte) []byte) {
		for i := range len(text) + 1 {
			for n := range 3 {
				piece := []byte(pieces[(3*i+n)%len(pieces)])
				for _, rest := range [][]byte{text[i:], text[min(i+1, len(text)):]} {
					read++
					if readTwice(t, entry(slices.Concat(text[:i], piece, rest))) != nil {
						accepted++
					}
				}
			}
		}
	}
	for _, r := range everyRecord(t, s) {
		change(appendRecord(nil, r), func(record []byte) []byte { return appendEntry(nil, s.kid, record, sig) })
	}
	// What stands around a record belongs to the entry, also if the record is not for this reader.
	for _, change := range [][2]string{{"", ""}, {`"v":1`, `"v":2`}, {`"v":1`, `"v":1.0`}, {`"h`, `"x`}, {`"h`, `"\u0068`}, {`{`, `{"a":[],`}} {
		record := strings.Replace(string(appendRecord(nil, everyRecord(t, s)[KindHeartbeat])), change[0], change[1], 1)
		for _, piece := range pieces {
			readTwice(t, appendEntry(nil, s.kid, []byte(piece+record), sig))
			readTwice(t, appendEntry(nil, s.kid, []byte(record+piece), sig))
		}
	}
	change(mustSign(t, everyRecord(t, s)[KindHeartbeat], s), func(entry []byte) []byte { return entry })
	if accepted == 0 || accepted == read {
		t.Errorf("accepted %d of %d", accepted, read)
	}
}
