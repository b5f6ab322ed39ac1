package evidence

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// FuzzEntry gives the reader any text for an entry, and any text for a record with a good signature. What it
// accepts is canonical, of a bounded size, written again as it was, and read in the same way by the other reader.
func FuzzEntry(f *testing.F) {
	s := newTestSigner("server")
	addEntries(f, s)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, entry := range [][]byte{data, signRaw(s, s.kid, string(data))} {
			if e := readTwice(t, entry); e != nil {
				checkCanonical(t, entry, e)
			}
		}
	})
}

// addEntries adds records of every kind, and the vectors.
func addEntries(f *testing.F, s *testSigner) {
	f.Helper()
	for _, r := range everyRecord(f, s) {
		entry := mustSign(f, r, s)
		f.Add(entry)
		f.Add(appendRecord(nil, r))
		f.Add(bytes.Replace(entry, []byte(`"v":1`), []byte(`"v":1,"w":"x"`), 1))
	}
	f.Add([]byte(`{"kid":"","record":{},"sig":""}`))
	files, err := fs.Glob(testvectors.FS, "evidence/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := testvectors.FS.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var vec struct{ Entries []string }
		if err := json.Unmarshal(text, &vec); err != nil {
			f.Fatal(err)
		}
		for _, entry := range vec.Entries {
			f.Add([]byte(entry))
		}
	}
}

func checkCanonical(t *testing.T, entry []byte, e *UnverifiedEntry) {
	canonical, err := jcs.Canonicalize(entry)
	if err != nil || !bytes.Equal(canonical, entry) {
		t.Fatalf("accepted what is not canonical: %v\n%q", err, entry)
	}
	m, err := e.Record.Message()
	if err != nil {
		t.Fatalf("accepted what would not be written: %v\n%q", err, entry)
	}
	if again := appendEntry(nil, e.KeyID, m.Record(), e.signature[:]); !bytes.Equal(again, entry) {
		t.Fatalf("written again as\n%q\nwas\n%q", again, entry)
	}
	if len(entry) > MaxEntryBytes {
		t.Fatalf("accepted %d bytes", len(entry))
	}
}

// FuzzCommit holds commitments to their purpose: each value in what has a canonical form can be opened, and
// nothing else can.
func FuzzCommit(f *testing.F) {
	f.Add([]byte(`{"path":"/etc","pin":1234}`), []byte(`{}`), "/arguments/pin")
	f.Add([]byte(`[1]`), []byte(`null`), "/arguments/0")
	f.Add([]byte(`{"":{"":[]},"a":1e2}`), []byte(`{"a":"\u20ac"}`), "/arguments/")
	f.Add([]byte(`{"~":[1,[2,{"/":3}]]}`), []byte(``), "/arguments/~0/1/1/~1")
	f.Fuzz(func(t *testing.T, arguments, responses []byte, pointer string) {
		salt := Salt{1}
		p := &Params{Arguments: arguments, InputResponses: responses}
		entry := decided(Commit(salt, p))
		d, err := Disclose(salt, p, pointer)
		if err != nil {
			return
		}
		if err := d.Check(entry); err != nil || d.Pointer() != pointer {
			t.Fatalf("%q of %q, as %q: %v", pointer, arguments, d.Pointer(), err)
		}
		d.Path[len(d.Path)-1] = MemberStep(pointer)
		if err := d.Check(entry); err == nil {
			t.Fatalf("%q of %q opens as %q", pointer, arguments, d.Pointer())
		}
	})
}

// FuzzParseDisclosure: what is accepted is written in one way, and read back as the same.
func FuzzParseDisclosure(f *testing.F) {
	p := args(`{"a":[1,{"b":null}],"c":{}}`)
	for _, pointer := range []string{"/arguments", "/arguments/a/1/b", "/input_responses", "/arguments/c"} {
		d, err := Disclose(Salt{1}, p, pointer)
		if err != nil {
			f.Fatal(err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	entry := decided(Commit(Salt{1}, p))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDisclosure(data)
		if err != nil {
			if CodeOf(err) != CodeMalformed {
				t.Fatal(err)
			}
			return
		}
		shown, err := resolve(p, d.Pointer())
		if d.Check(entry) == nil && (err != nil || !slices.Equal(shown, d.Path)) {
			t.Fatalf("%q is shown at %q: %v", d.Value, d.Pointer(), err)
		}
		if back := reread(t, d); back.Pointer() != d.Pointer() {
			t.Fatalf("%q and %q", back.Pointer(), d.Pointer())
		}
	})
}
