package registry

import (
	"crypto"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/registry"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
	"github.com/touchmark-dev/touchmark/serververify"
)

func TestVectors(t *testing.T) {
	defects := make(map[string]bool)
	for _, v := range vectortest.Read(t, "registry", 60, func(v *vectors.Vector) string { return v.Name }) {
		if (v.Defect == "") != (v.Expect.Verdict == vectors.Accepted) || v.Defect != "" && defects[v.Defect] {
			t.Errorf("%s: the defect %q stands twice, or is that of an accepted vector", v.Name, v.Defect)
		}
		defects[v.Defect] = true
		t.Run(v.Name, func(t *testing.T) {
			code, err := judgeVector(t, v)
			if got := err == nil && code == ""; got != (v.Expect.Verdict == vectors.Accepted) || code != v.Expect.Code {
				t.Errorf("got %q, %v, want %+v", code, err, v.Expect)
			}
		})
	}
}

func keysOf(t *testing.T, v *vectors.Vector) []crypto.PublicKey {
	t.Helper()
	set, err := jwk.ParseSet(v.Keys)
	if err != nil {
		t.Fatal(err)
	}
	var keys []crypto.PublicKey
	for _, k := range set {
		keys = append(keys, k.Key)
	}
	return keys
}

// judgeVector returns the error about the list, or the code about the server and
// its tool.
func judgeVector(t *testing.T, v *vectors.Vector) (string, error) {
	t.Helper()
	dir := t.TempDir()
	cfg := &Config{
		Path: filepath.Join(dir, "list"), StatePath: filepath.Join(dir, "state"), Issuer: v.Issuer, Environment: v.Environment,
		Time: func() time.Time { return time.Unix(v.Now, 0) },
	}
	put(t, cfg.Path, v.List)
	if v.State != nil {
		text, err := json.Marshal(v.State)
		if err != nil {
			t.Fatal(err)
		}
		put(t, cfg.StatePath, string(text))
	}
	cfg.Keys = keysOf(t, v)
	r, err := Open(t.Context(), cfg)
	if err != nil {
		return "", err
	}
	who := did.MustParse(v.Server.DID)
	err = r.Admit(t.Context(), &serververify.Server{
		State: serververify.StateVerified, Endpoint: v.Server.Endpoint, DID: who, KeyThumbprint: v.Server.Key,
	})
	switch {
	case err != nil:
		return string(serververify.CodeOf(err)), nil
	case v.Server.Version != "" && !r.AllowsVersion(who, v.Server.Version), !r.AllowsTool(who, v.Tool):
		return string(serververify.CodeNotAllowed), nil
	}
	return "", nil
}

// Two other libraries say the same of each signature.
func TestVectorsElsewhere(t *testing.T) {
	for _, v := range vectortest.Read(t, "registry", 60, func(v *vectors.Vector) string { return v.Name }) {
		if onList := strings.HasPrefix(v.Expect.Step, "3."); v.Defect != "" && onList != (v.Expect.Code == "") {
			t.Errorf("%s: step %s and code %q", v.Name, v.Expect.Step, v.Expect.Code)
		}
		m, err := jws.ParseMax(v.List, MaxBytes)
		if err != nil {
			continue // not in a form that they have to agree on
		}
		for _, key := range keysOf(t, v) {
			vectortest.CheckOpinions(t, v.List, key, m.Verify(key) == nil)
		}
	}
}
