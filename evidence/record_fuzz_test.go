package evidence

import (
	"bytes"
	"encoding/json"
	"io/fs"
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
	if again := appendEntry(nil, e.KeyID, m.Record(), e.signature); !bytes.Equal(again, entry) {
		t.Fatalf("written again as\n%q\nwas\n%q", again, entry)
	}
	if len(entry) > MaxEntryBytes {
		t.Fatalf("accepted %d bytes", len(entry))
	}
}

// FuzzCommit holds commitments to their purpose: each member of what has a canonical form can be opened, and
// nothing else can.
func FuzzCommit(f *testing.F) {
	f.Add([]byte(`{"path":"/etc","pin":1234}`), []byte(`{}`), "pin")
	f.Add([]byte(`[1]`), []byte(`null`), "0")
	f.Add([]byte(`{"":{"":[]},"a":1e2}`), []byte(`{"a":"\u20ac"}`), "")
	f.Fuzz(func(t *testing.T, arguments, responses []byte, name string) {
		salt := Salt{1}
		p := &Params{Arguments: arguments, InputResponses: responses}
		commitment, form := Commit(salt, p)
		d, err := OpenMember(salt, p, PartArguments, name)
		if err != nil {
			return
		}
		decision := &Decision{ParamsCommitment: commitment, ParamsForm: form}
		entry := &VerifiedEntry{unverified: UnverifiedEntry{Record: &Record{Decision: decision}}}
		if err := d.Check(entry); err != nil {
			t.Fatalf("member %q of %q: %v", name, arguments, err)
		}
		d.Name += "x"
		if err := d.Check(entry); err == nil {
			t.Fatalf("member %q of %q opens as %q", name, arguments, d.Name)
		}
	})
}
