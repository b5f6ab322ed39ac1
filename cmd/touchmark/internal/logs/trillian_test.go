package logs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

func TestAnalyze(t *testing.T) {
	db := trilliantest.PostgreSQL(t)
	if err := (&Trillian{Analyze: db.URI}).analyze(t.Context()); err != nil {
		t.Error(err)
	}
	if err := (&Trillian{Analyze: db.URI + "&search_path=nowhere"}).analyze(t.Context()); err == nil {
		t.Error("tables that are not there were looked at")
	}
}

func TestTrillianFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		want       string // part of the error; empty: accepted
	}{
		{"accepted", `{"server":"127.0.0.1:8090","tree":"5"}`, 0o644, ""},
		{"accepted with a database", `{"server":"[::1]:8090","tree":"5","analyze":"postgresql://x@y/z"}`, 0o600, ""},
		{"a database that everybody reads of", `{"server":"127.0.0.1:8090","tree":"5","analyze":"postgresql://x@y/z"}`, 0o644, "0600"},
		{"another machine", `{"server":"192.0.2.1:8090","tree":"5"}`, 0o600, "TLS"},
		{"a name", `{"server":"localhost:8090","tree":"5"}`, 0o600, "TLS"},
		{"no server", `{"tree":"5"}`, 0o600, "HOST:PORT"},
		{"no tree", `{"server":"127.0.0.1:8090"}`, 0o600, "tree"},
		{"a tree in another form", `{"server":"127.0.0.1:8090","tree":"05"}`, 0o600, "tree"},
		{"another member", `{"server":"127.0.0.1:8090","tree":"5","Server":"127.0.0.1:1"}`, 0o600, "Server"},
		{"a member twice", `{"server":"127.0.0.1:8090","tree":"5","tree":"6"}`, 0o600, "duplicate"},
		{"half of a certificate", `{"server":"127.0.0.1:8090","tree":"5","cert":"x.pem"}`, 0o600, "key"},
		{"a missing file", `{"server":"127.0.0.1:8090","tree":"5","ca":"/nowhere/ca.pem"}`, 0o600, "no such file"},
		{"nothing", "", 0o600, "strictjson"},
	} {
		if err := os.WriteFile(dir+Suffix, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+Suffix, test.mode); err != nil {
			t.Fatal(err)
		}
		p, err := At(dir)
		switch {
		case test.want == "" && (err != nil || p.Trillian == nil || p.Dir != dir):
			t.Errorf("%s: %+v, %v", test.name, p, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	for where, want := range map[string]string{
		"log": "log", "log/": "log", "trillian://127.0.0.1:8090/5?dir=a/log/": "a/log",
		"trillian://127.0.0.1:8090/5": "", "trillian://127.0.0.1:8090/5?dir=": "", "trillian://127.0.0.1:8090/?dir=x": "",
		"trillian://127.0.0.1/5?dir=x": "", "trillian://127.0.0.1:8090/5?dir=x&tree=6": "", "trillian://127.0.0.1:8090/5?dir=x&dir=y": "",
		"trillian://a@127.0.0.1:8090/5?dir=x": "", "trillian://127.0.0.1:8090/5?dir=x#y": "", "trillian://127.0.0.1:8090/-5?dir=x": "",
	} {
		if got, err := Dir(where); got != want || (err == nil) != (want != "") {
			t.Errorf("Dir(%q) = %q, %v", where, got, err)
		}
	}
}
