package registry

import (
	"crypto"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
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
	set, err := jcs.Canonicalize(v.Keys)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwk.ParseSet(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		cfg.Keys = append(cfg.Keys, crypto.PublicKey(k.Key))
	}
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
