package did_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// A vector is a file of testvectors/did. Its input is recognised by being there.
type vector struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Defect      string `json:"defect"`

	DID         string  `json:"did"`
	DIDURL      string  `json:"did_url"`
	WebURL      string  `json:"web_url"`
	DocumentURL string  `json:"document_url"`
	Address     string  `json:"address"`
	Document    *string `json:"document"`
	PadTo       int     `json:"pad_to"`
	Policy      struct {
		AllowPorts          []uint16 `json:"allow_ports"`
		UnsafeAllowLoopback bool     `json:"unsafe_allow_loopback"`
	} `json:"policy"`

	Expect struct {
		Result string `json:"result"`
		Reason string `json:"reason"`

		DID          string   `json:"did"`
		Fragment     string   `json:"fragment"`
		PublicKey    string   `json:"public_key"`
		Origin       string   `json:"origin"`
		BaseURL      string   `json:"base_url"`
		DocumentURL  string   `json:"document_url"`
		PathSegments []string `json:"path_segments"`

		Methods []struct {
			ID        string `json:"id"`
			Kind      string `json:"kind"`
			PublicKey string `json:"public_key"`
		} `json:"methods"`
		Authentication  []string `json:"authentication"`
		AssertionMethod []string `json:"assertion_method"`
	} `json:"expect"`
}

// vectors returns the vectors, none of which has a member that is not known.
func vectors(t testing.TB) []vector {
	t.Helper()
	names, err := fs.Glob(testvectors.FS, "did/*.json")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d vectors, %v", len(names), err)
	}
	all := make([]vector, len(names))
	for i, name := range names {
		data, err := fs.ReadFile(testvectors.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&all[i]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != "did/"+all[i].Name+".json" {
			t.Errorf("%s has the name %q", name, all[i].Name)
		}
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, v.run)
	}
}

// run gives the input to what reads it.
func (v *vector) run(t *testing.T) {
	switch {
	case v.Document != nil:
		d := did.MustParse(v.DID)
		text := *v.Document
		text += strings.Repeat(" ", max(0, v.PadTo-len(text)))
		doc, err := did.ParseDocument([]byte(text), d)
		var refused *did.DocumentError
		if v.judge(t, err, errors.As(err, &refused)) {
			v.checkDocument(t, doc)
		}
	case v.Address != "":
		err := safehttp.CheckAddrPort(netip.MustParseAddrPort(v.Address), safehttp.Policy{
			AllowPorts: v.Policy.AllowPorts, UnsafeAllowLoopback: v.Policy.UnsafeAllowLoopback,
		})
		var refused *safehttp.AddrError
		v.judge(t, err, errors.As(err, &refused))
	case v.DIDURL != "":
		u, err := did.ParseURL(v.DIDURL)
		if v.judgeParse(t, err) {
			equal(t, "DID", u.DID.String(), v.Expect.DID)
			equal(t, "fragment", u.Fragment, v.Expect.Fragment)
		}
	case v.WebURL != "":
		d, err := did.FromWebURL(v.WebURL)
		if v.judgeParse(t, err) {
			equal(t, "DID", d.String(), v.Expect.DID)
		}
	case v.DocumentURL != "":
		d, err := did.FromDocumentURL(v.DocumentURL)
		if v.judgeParse(t, err) {
			equal(t, "DID", d.String(), v.Expect.DID)
		}
	default:
		d, err := did.Parse(v.DID)
		if v.judgeParse(t, err) {
			v.checkDID(t, d)
		}
	}
}

func (v *vector) judgeParse(t *testing.T, err error) bool {
	t.Helper()
	var refused *did.ParseError
	return v.judge(t, err, errors.As(err, &refused))
}

// judge compares the verdict, and reports whether there is a result to look at.
func (v *vector) judge(t *testing.T, err error, typed bool) bool {
	t.Helper()
	switch v.Expect.Result {
	case "accepted":
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return err == nil
	case "refused":
		if err == nil {
			t.Errorf("accepted, in spite of %s", v.Defect)
		} else if !typed || !strings.Contains(err.Error(), v.Expect.Reason) {
			t.Errorf("refused with %T %v, want %q", err, err, v.Expect.Reason)
		}
	default:
		t.Errorf("unknown result %q", v.Expect.Result)
	}
	return false
}

func (v *vector) checkDID(t *testing.T, d did.DID) {
	equal(t, "DID", d.String(), v.Expect.DID)
	if v.Expect.PublicKey != "" {
		key, err := d.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "key", hex.EncodeToString(key), v.Expect.PublicKey)
		equal(t, "DID of the key", did.FromKey(key).String(), v.DID)
		return
	}
	for _, part := range []struct {
		name string
		get  func() (string, error)
		want string
	}{
		{"origin", d.Origin, v.Expect.Origin},
		{"base URL", d.BaseURL, v.Expect.BaseURL},
		{"document URL", d.DocumentURL, v.Expect.DocumentURL},
	} {
		got, err := part.get()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, part.name, got, part.want)
	}
	if !slices.Equal(d.PathSegments(), v.Expect.PathSegments) {
		t.Errorf("path segments %q, want %q", d.PathSegments(), v.Expect.PathSegments)
	}
}

func (v *vector) checkDocument(t *testing.T, doc *did.Document) {
	equal(t, "DID", doc.ID.String(), v.DID)
	if len(doc.Methods) != len(v.Expect.Methods) {
		t.Fatalf("methods %+v, want %+v", doc.Methods, v.Expect.Methods)
	}
	for i, want := range v.Expect.Methods {
		m := doc.Methods[i]
		equal(t, "id", m.ID.String(), want.ID)
		equal(t, "controller", m.Controller.String(), v.DID)
		var kind string
		var key []byte
		switch k := m.Key.(type) {
		case ed25519.PublicKey:
			kind, key = "Ed25519", k
		case *ecdsa.PublicKey:
			point, err := k.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			kind, key = k.Curve.Params().Name, append([]byte{2 + point[64]&1}, point[1:33]...)
		}
		equal(t, "kind", kind, want.Kind)
		equal(t, "key", hex.EncodeToString(key), want.PublicKey)
	}
	if !slices.Equal(doc.Authentication, v.Expect.Authentication) {
		t.Errorf("authentication %q, want %q", doc.Authentication, v.Expect.Authentication)
	}
	if !slices.Equal(doc.AssertionMethod, v.Expect.AssertionMethod) {
		t.Errorf("assertionMethod %q, want %q", doc.AssertionMethod, v.Expect.AssertionMethod)
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s %q, want %q", what, got, want)
	}
}
