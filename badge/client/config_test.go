package client_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func TestFileKeys(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.json", keySet(t, newKey(t, "a")))
	files := map[string]string{"https://a.example": good, "did:web:b.example": good}
	keys, err := client.FileKeys(files)
	if err != nil {
		t.Fatal(err)
	}
	for issuer := range files {
		if got, err := keys.IssuerKeys(t.Context(), issuer); err != nil || kids(got) != "a" {
			t.Errorf("%s: %q, %v", issuer, kids(got), err)
		}
	}
	for name, files := range map[string]map[string]string{
		"missing":       {"https://a.example": filepath.Join(dir, "none.json")},
		"a directory":   {"https://a.example": dir},
		"not a set":     {"https://a.example": file("bad.json", "{}")},
		"no usable key": {"https://a.example": file("rsa.json", `{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}`)},
		"too long":      {"https://a.example": file("long.json", strings.Repeat(" ", jwk.MaxSetBytes+1))},
		"no origin":     {"a.example": good},
		"with a path":   {"https://a.example/x": good},
		"did:key":       {"did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp": good},
	} {
		if _, err := client.FileKeys(files); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := client.New(&client.Config{KeyFiles: files}); err == nil {
			t.Errorf("%s: accepted by New", name)
		}
	}

	// In a client, an issuer with a file is asked for status alone.
	r := newRegistry(t)
	c := r.client(t, func(cfg *client.Config) { cfg.KeyFiles = map[string]string{r.issuer: good} })
	for _, f := range []func(context.Context, string) ([]badge.Key, error){c.IssuerKeys, c.RefreshIssuerKeys} {
		if got, err := f(t.Context(), r.issuer); err != nil || kids(got) != "a" {
			t.Errorf("%q, %v", kids(got), err)
		}
	}
	if _, err := c.Status(t.Context(), query(t, r.issuer)); err != nil {
		t.Error(err)
	}
	if n := r.keyAsked.Load(); n != 0 {
		t.Errorf("%d fetches of keys that come from a file", n)
	}
}

func TestConfigRefused(t *testing.T) {
	one := []string{"https://a.example"}
	for name, cfg := range map[string]*client.Config{
		"nil":                       nil,
		"no issuer":                 {},
		"http":                      {Issuers: []string{"http://a.example"}},
		"path":                      {Issuers: []string{"https://a.example/x"}},
		"slash":                     {Issuers: []string{"https://a.example/"}},
		"default port":              {Issuers: []string{"https://a.example:443"}},
		"upper case":                {Issuers: []string{"https://A.example"}},
		"userinfo":                  {Issuers: []string{"https://u@a.example"}},
		"address":                   {Issuers: []string{"https://10.0.0.1"}},
		"did:web":                   {Issuers: []string{"did:web:a.example"}},
		"empty":                     {Issuers: []string{""}},
		"negative timeout":          {Issuers: one, Timeout: -1},
		"refresh too often":         {Issuers: one, RefreshInterval: time.Second},
		"older than refreshed":      {Issuers: one, RefreshInterval: time.Hour, MaxAge: time.Minute},
		"negative age":              {Issuers: one, MaxAge: -1},
		"storm":                     {Issuers: one, MinInterval: time.Millisecond},
		"negative status time":      {Issuers: one, StatusTTL: -1},
		"status longer than stated": {Issuers: one, StatusTTL: badge.MaxStatusAge + 1},
	} {
		if c, err := client.New(cfg); err == nil {
			c.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	c, err := client.New(&client.Config{Issuers: one, RefreshInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
