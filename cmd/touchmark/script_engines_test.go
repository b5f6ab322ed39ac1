package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// The scripts of testdata/authority, each from an empty directory: on SQLite,
// and on a PostgreSQL that the test starts.
func TestAuthorityScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/authority/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for engine, database := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "" },
		"postgres": sqltest.PostgreSQL,
	} {
		for _, file := range files {
			t.Run(engine+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				t.Parallel()
				url := database(t)
				testscript.Run(t, scripts(testscript.Params{
					Files: []string{file},
					Setup: func(env *testscript.Env) error {
						env.Setenv("TOUCHMARK_DATABASE", url)
						env.Setenv("TOUCHMARK_TTL", "1h") // for machines that are slow
						return nil
					},
					Condition: func(name string) (bool, error) { return name == engine, nil },
				}))
			})
		}
	}
}

// hides wants no secret of the files in a log: hides LOG FILE... . The secret of
// a private JWK is its member d, and that of another file each of its lines.
func hides(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hides LOG FILE...")
	}
	log := ts.ReadFile(args[0])
	if !strings.Contains(log, "msg=request") && !strings.Contains(log, `"msg":"request"`) {
		ts.Fatalf("%s tells of no request", args[0])
	}
	for _, name := range args[1:] {
		text := ts.ReadFile(name)
		secrets := strings.Split(strings.TrimSpace(text), "\n")
		var key struct{ D string }
		if json.Unmarshal([]byte(text), &key) == nil {
			secrets = []string{key.D}
		}
		for _, secret := range secrets {
			if len(secret) < 8 {
				ts.Fatalf("%s has no secret: %q", name, secret)
			}
			if strings.Contains(log, secret) {
				ts.Fatalf("%s has the secret of %s", args[0], name)
			}
			// Nor what a secret of three parts has in it.
			for _, part := range strings.Split(secret, ".") {
				if len(part) >= 32 && strings.Contains(log, part) {
					ts.Fatalf("%s has a part of the secret of %s", args[0], name)
				}
			}
		}
	}
}

// says waits until a program that `start` runs has said something: says LOG
// REGEXP.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: says LOG REGEXP")
	}
	want := regexp.MustCompile(args[1])
	for began := time.Now(); !want.MatchString(ts.ReadFile(args[0])); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			ts.Fatalf("%s does not say %q: %s", args[0], args[1], ts.ReadFile(args[0]))
		}
	}
}
