// Package vectortest has what the tests of several packages do with test
// vectors. Begin with [Read].
package vectortest

import (
	"crypto"
	"io/fs"
	"path"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// Read returns the vectors of an area, of which there are at least least. None has
// a member that V does not know; name returns the name that a vector gives itself.
func Read[V any](t testing.TB, area string, least int, name func(*V) string) []*V {
	t.Helper()
	files, err := fs.Glob(testvectors.FS, area+"/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []*V
	for _, file := range files {
		text, err := testvectors.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v := new(V)
		if err := strictjson.UnmarshalStrict(text, v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if name(v)+".json" != path.Base(file) {
			t.Errorf("%s: the name inside is %q", file, name(v))
		}
		all = append(all, v)
	}
	if len(all) < least {
		t.Errorf("%d vectors, want at least %d", len(all), least)
	}
	return all
}

// A Judged is a vector that was tried.
type Judged struct {
	Name     string
	Defect   string
	Accepted bool   // it has to be
	Branch   string // where it was refused: the error without what it quotes
}

// CheckDistinct checks that no defect is described twice, and that no two vectors
// are refused for the same reason unless sameBranch names one of them, by the
// reason for which it is kept. There are to be at least least different reasons.
func CheckDistinct(t testing.TB, all []Judged, sameBranch map[string][]string, least int) {
	t.Helper()
	justified := map[string]bool{}
	for _, names := range sameBranch {
		for _, name := range names {
			justified[name] = true
		}
	}
	defects, branches, again := map[string]string{}, map[string]string{}, map[string]string{}
	for _, v := range all {
		if (v.Defect == "") != v.Accepted {
			t.Errorf("%s: accepted %v with defect %q", v.Name, v.Accepted, v.Defect)
		}
		if v.Defect == "" {
			continue
		}
		if other, ok := defects[v.Defect]; ok {
			t.Errorf("%s and %s have the same defect", v.Name, other)
		}
		defects[v.Defect] = v.Name
		if justified[v.Name] {
			again[v.Name] = v.Branch
			continue
		}
		if other, ok := branches[v.Branch]; ok {
			t.Errorf("%s is refused like %s: %s", v.Name, other, v.Branch)
		}
		branches[v.Branch] = v.Name
	}
	for name := range justified {
		if _, ok := branches[again[name]]; !ok {
			t.Errorf("%s needs no justification, or is not there", name)
		}
	}
	if len(branches) < least {
		t.Errorf("only %d different reasons", len(branches))
	}
	t.Logf("%d refusals for %d different reasons", len(defects), len(branches))
}

// CheckOpinions checks that go-jose and jwx say of a signature what we say.
func CheckOpinions(t testing.TB, token string, key crypto.PublicKey, ours bool) {
	t.Helper()
	if goJose := goJoseVerifies(token, key); goJose != ours {
		t.Errorf("%T: we say %v, go-jose %v", key, ours, goJose)
	}
	if jwx := jwxVerifies(token, key); jwx != ours {
		t.Errorf("%T: we say %v, jwx %v", key, ours, jwx)
	}
}

func goJoseVerifies(token string, key crypto.PublicKey) bool {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		return false
	}
	_, err = parsed.Verify(key)
	return err == nil
}

func jwxVerifies(token string, key crypto.PublicKey) bool {
	alg, err := jws.AlgorithmOf(key)
	if err != nil {
		return false
	}
	_, err = jwxjws.Verify([]byte(token), jwxjws.WithKey(jwa.SignatureAlgorithm(alg), key))
	return err == nil
}
