package badge

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// FuzzClaims holds the claims that are accepted to the rules of spec/badge.md, read a second time in another
// way, and the compat profile to being no stricter than the strict one.
func FuzzClaims(f *testing.F) {
	for _, payload := range vectorPayloads(f) {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := strictjson.Parse(payload)
		if err != nil {
			return
		}
		var strict, lenient claims
		rejected := parseClaims(&strict, v, false)
		inCompat := parseClaims(&lenient, v, true)
		if rejected == nil && inCompat != nil {
			t.Errorf("compat refuses what strict accepts: %v", inCompat)
		}
		for _, r := range []*RejectedError{rejected, inCompat} {
			if r != nil && (r.Reason == "" || (r.Code != CodeClaimsInvalid && r.Code != CodeMalformed)) {
				t.Errorf("refused without a reason: %+v", r)
			}
		}
		if rejected == nil {
			if fault := secondReading(payload, &strict); fault != "" {
				t.Errorf("accepted %s: %s", payload, fault)
			}
		}
	})
}

// FuzzRevocationList: a list that is usable follows itself, and names as many badges as its range is long.
func FuzzRevocationList(f *testing.F) {
	f.Add([]byte(`{"as_of":1789999940,"base":"sha256:uBazqFUn817i9KJrYIM1FwiNBCWgwDuAU6aAtObKZy8",` +
		`"disabled_agents":["did:web:agents.example:eve"],"from":0,"head":"sha256:s4SF_hbMgn1cNco7uc-ySgrOB_1jHDegXBwIzdnKK9w",` +
		`"iss":"https://registry.example","revoked":["9c1d7e42-58a0-4f6b-8c3e-d2b1a0f9e8d7"],"to":1,"withdrawn_keys":["ca-0"]}`))
	f.Add([]byte(`{"as_of":1,"base":"sha256:uBazqFUn817i9KJrYIM1FwiNBCWgwDuAU6aAtObKZy8","disabled_agents":[],"from":0,` +
		`"head":"sha256:uBazqFUn817i9KJrYIM1FwiNBCWgwDuAU6aAtObKZy8","iss":"https://registry.example","revoked":[],"to":0,"withdrawn_keys":[]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		list, err := readRevocationList(payload, testIssuer, "ca-1")
		if err != nil {
			return
		}
		if err := list.Follows(list); err != nil {
			t.Error(err)
		}
		from, to := list.Cursor()
		if to-from != uint64(len(list.revoked)) || list.Issuer() != testIssuer || list.keys["ca-1"] {
			t.Errorf("usable: %s", payload)
		}
	})
}

var (
	uuid4  = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	origin = regexp.MustCompile(`^https://[a-z0-9.-]+(:[1-9][0-9]{0,4})?$`)
)

// secondReading returns a rule that the payload breaks, or "".
func secondReading(payload []byte, c *claims) string {
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		return err.Error()
	}
	text := func(in map[string]any, name string) string { s, _ := in[name].(string); return s }
	vc, _ := m["vc"].(map[string]any)
	subject, _ := vc["credentialSubject"].(map[string]any)
	types, _ := vc["type"].([]any)
	key, _ := m["key"].(map[string]any)
	cnf, hasCNF := m["cnf"].(map[string]any)
	iat, _ := m["iat"].(float64)
	exp, _ := m["exp"].(float64)
	level, iss, sub := text(subject, "level"), text(m, "iss"), text(m, "sub")
	aud, hasAud := m["aud"]
	audience, isArray := aud.([]any)
	for broken, is := range map[string]bool{
		"jti":           !uuid4.MatchString(text(m, "jti")) || c.id != text(m, "jti"),
		"level":         len(level) != 1 || !strings.Contains(levelDigits, level) || c.level.String() != level,
		"domain":        level >= "2" && text(subject, "domain") == "",
		"actor":         c.actor != text(subject, "actor") || subject["actor"] != nil && (c.actor == "" || level == "0"),
		"type":          !slices.Contains(types, any(typeCredential)) || !slices.Contains(types, any(typeIdentity)),
		"level 0":       level == "0" && (iss != sub || !strings.HasPrefix(sub, "did:key:z6Mk") || text(m, "ial") != "0"),
		"levels 1 to 4": level != "0" && (!origin.MatchString(iss) || !strings.HasPrefix(sub, "did:web:")),
		"times":         exp-iat < 60 || exp-iat > 3600 || float64(c.issuedAt) != iat || float64(c.expires) != exp,
		"ial":           text(m, "ial") != string(c.assurance) || (c.assurance == "1") != hasCNF,
		"cnf":           hasCNF && !strings.HasPrefix(text(cnf, "kid"), sub+"#"),
		"key":           key["d"] != nil || text(key, "x") == "" || c.key == nil,
		"aud":           hasAud && (!isArray || len(audience) != len(c.audience)) || hasAud != c.hasAudience,
	} {
		if is {
			return broken
		}
	}
	return ""
}

// vectorPayloads are the payloads of the test vectors, good and bad.
func vectorPayloads(t testing.TB) [][]byte {
	t.Helper()
	files, err := fs.Glob(testvectors.FS, "badge/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, file := range files {
		data, err := testvectors.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vector struct{ Token string }
		if err := json.Unmarshal(data, &vector); err != nil {
			t.Fatal(err)
		}
		if m, err := jws.ParseAllowMissingTyp(vector.Token); err == nil {
			all = append(all, m.Payload)
		}
	}
	return all
}
