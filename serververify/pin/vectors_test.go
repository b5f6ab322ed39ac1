package pin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	vectors "github.com/touchmark-dev/touchmark/internal/vectorgen/pins"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
	"github.com/touchmark-dev/touchmark/serververify"
)

func TestVectors(t *testing.T) {
	defects := make(map[string]bool)
	for _, v := range vectortest.Read(t, "pins", 80, func(v *vectors.Vector) string { return v.Name }) {
		if (v.Defect == "") != (v.Expect.Verdict == vectors.Accepted) || v.Defect != "" && defects[v.Defect] {
			t.Errorf("%s: the defect %q stands twice, or is that of an accepted vector", v.Name, v.Defect)
		}
		defects[v.Defect] = true
		check := map[string]func(*testing.T, *vectors.Vector){
			vectors.Parse: checkParse, vectors.Admit: checkAdmit, vectors.Tools: checkTools, vectors.Rotation: checkRotates,
		}[v.Kind]
		if check == nil {
			t.Fatalf("%s: unknown kind %q", v.Name, v.Kind)
		}
		t.Run(v.Name, func(t *testing.T) { check(t, v) })
	}
}

func checkParse(t *testing.T, v *vectors.Vector) {
	pins, err := Parse([]byte(v.File))
	var syntax *SyntaxError
	switch {
	case v.Expect.Verdict == vectors.Accepted:
		if err != nil || len(pins) != v.Expect.Pins {
			t.Errorf("%d pins, %v", len(pins), err)
		}
	case !errors.As(err, &syntax) || syntax.Line != v.Expect.Line:
		t.Errorf("got %v, want an error in line %d", err, v.Expect.Line)
	}
}

// openVector returns the store of a vector, at its time.
func openVector(t *testing.T, v *vectors.Vector) *Store {
	t.Helper()
	now, err := time.Parse(time.RFC3339, v.Now)
	if err != nil {
		t.Fatal(err)
	}
	mode := AllowListOnly
	if v.FirstUse {
		mode = TrustOnFirstUse
	}
	s, c := open(t, v.File, mode)
	c.now = now
	return s
}

func checkAdmit(t *testing.T, v *vectors.Vector) {
	s := openVector(t, v)
	err := s.Admit(t.Context(), &serververify.Server{
		State: serververify.StateVerified, Endpoint: v.Server.Endpoint, DID: did.MustParse(v.Server.DID), KeyThumbprint: v.Server.Key,
	})
	if string(serververify.CodeOf(err)) != v.Expect.Code || (err == nil) != (v.Expect.Verdict == vectors.Accepted) {
		t.Errorf("got %v, want %q", err, v.Expect.Code)
	}
	want := v.Expect.File
	if want == "" {
		want = v.File
	}
	if got := content(t, s); got != want {
		t.Errorf("the file is\n%swant\n%s", got, want)
	}
}

func checkTools(t *testing.T, v *vectors.Vector) {
	s, _ := open(t, lineOf("did:web:mcp.example.com", keyA, "-", "-"), AllowListOnly)
	if d, err := s.ApproveTools(t.Context(), place, json.RawMessage(v.Approved)); err != nil || d != v.Expect.ApprovedDigest {
		t.Fatalf("%s, %v, want %s", d, err, v.Expect.ApprovedDigest)
	}
	err := s.CheckTools(t.Context(), example(), json.RawMessage(v.Offered))
	if string(serververify.CodeOf(err)) != v.Expect.Code || (err == nil) != (v.Expect.Verdict == vectors.Accepted) {
		t.Errorf("got %v, want %q", err, v.Expect.Code)
	}
	d, err := Digest(json.RawMessage(v.Offered))
	if d != v.Expect.OfferedDigest || (err == nil) != (d != "") {
		t.Errorf("digest %q, %v, want %q", d, err, v.Expect.OfferedDigest)
	}
}

func checkRotates(t *testing.T, v *vectors.Vector) {
	s := openVector(t, v)
	err := s.Rotate(t.Context(), &Rotation{Endpoint: place, OldKey: v.OldKey, NewKey: v.NewKey, Statement: v.Statement})
	accepted := v.Expect.Verdict == vectors.Accepted
	if (err == nil) != accepted || strings.Contains(content(t, s), v.NewKey) != (accepted || v.NewKey == Any && strings.Contains(v.File, Any)) {
		t.Errorf("got %v\n%s", err, content(t, s))
	}
}

// Two other libraries say the same of the signatures of statements.
func TestVectorsElsewhere(t *testing.T) {
	for _, v := range vectortest.Read(t, "pins", 80, func(v *vectors.Vector) string { return v.Name }) {
		m, err := jws.Parse(v.Statement)
		if err != nil {
			continue
		}
		var c rotationClaims
		if c.parse(m) != nil {
			continue
		}
		if old, err := jwk.ParsePublic([]byte(c.OldKey)); err == nil {
			vectortest.CheckOpinions(t, v.Statement, old.Key, m.Verify(old.Key) == nil)
		}
	}
}
