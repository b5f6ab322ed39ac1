package client_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func TestKeySetsRefused(t *testing.T) {
	a, b := newKey(t, "a"), newKey(t, "b")
	one := strings.TrimSuffix(strings.TrimPrefix(keySet(t, a), `{"keys":[`), "]}")
	two := strings.TrimSuffix(strings.TrimPrefix(keySet(t, b), `{"keys":[`), "]}")
	var many []string
	for i := range jwk.MaxKeys + 1 {
		many = append(many, strings.Replace(one, `"a"`, fmt.Sprintf(`"k%d"`, i), 1))
	}
	for name, text := range map[string]string{
		"not JSON":           "<html>",
		"empty":              "",
		"no keys":            "{}",
		"a key alone":        one,
		"keys given twice":   `{"keys":[` + one + `],"keys":[` + two + `]}`,
		"member given twice": `{"keys":[` + strings.Replace(one, `"kid":"a"`, `"kid":"a","kid":"b"`, 1) + `]}`,
		"kid given twice":    `{"keys":[` + one + `,` + strings.Replace(two, `"b"`, `"a"`, 1) + `]}`,
		"private key":        `{"keys":[` + strings.Replace(one, `"kid"`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid"`, 1) + `]}`,
		"small order":        `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		"trailing data":      `{"keys":[` + one + `]}x`,
		"too many keys":      `{"keys":[` + strings.Join(many, ",") + `]}`,
		"too long":           `{"keys":[` + one + `]}` + strings.Repeat(" ", jwk.MaxSetBytes),
	} {
		r := newRegistry(t)
		r.keySet = text
		if keys, err := r.client(t, nil).IssuerKeys(t.Context(), r.issuer); err == nil {
			t.Errorf("%s: accepted as %q", name, kids(keys))
		}
		if _, err := client.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: ParseKeys accepts it", name)
		}
	}
}

// encoding/json, which jwx reads with, takes Kty for kty; we do not. Neither is
// believed.
func TestKeySetReadInTwoWays(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	r.keySet = strings.Replace(r.keySet, `"kty":"OKP"`, `"kty":"OKP","Kty":"RSA"`, 1)
	if _, err := client.ParseKeys([]byte(r.keySet)); err != nil {
		t.Fatal(err)
	}
	keys, err := r.client(t, nil).IssuerKeys(t.Context(), r.issuer)
	if err == nil || !strings.Contains(err.Error(), "two parsers") {
		t.Errorf("%q, %v", kids(keys), err)
	}
}

func TestKeySetsAccepted(t *testing.T) {
	one := strings.TrimSuffix(strings.TrimPrefix(keySet(t, newKey(t, "a")), `{"keys":[`), "]}")
	for name, c := range map[string]struct{ text, want string }{
		"empty":       {`{"keys":[]}`, ""},
		"other kinds": {`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB","kid":"r"},{"kty":"NEW","kid":"n"},` + one + `]}`, "a"},
		"other uses":  {`{"keys":[` + strings.Replace(one, `"kty"`, `"use":"enc","kty"`, 1) + `]}`, ""},
		"more":        {`{"keys":[` + one + `],"x":1}`, "a"},
		"without kid": {`{"keys":[` + strings.Replace(one, `"kid":"a",`, "", 1) + `]}`, ""},
	} {
		r := newRegistry(t)
		r.keySet = c.text
		keys, err := r.client(t, nil).IssuerKeys(t.Context(), r.issuer)
		if err != nil || kids(keys) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, kids(keys), err, c.want)
		}
	}
}
