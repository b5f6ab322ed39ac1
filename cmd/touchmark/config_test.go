package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// Every flag of every command has an environment variable and a key in a
// configuration file, except that the environment has none that weakens a check.
func TestEveryFlagCanBeConfigured(t *testing.T) {
	app := testApp()
	checked := 0
	check := func(path []string, f cli.Flag) {
		name := f.Names()[0]
		if name == "help" {
			return
		}
		checked++
		env := f.(cli.DocGenerationFlag).GetEnvVars()
		switch {
		case weakens(name) && len(env) > 0:
			t.Errorf("%s --%s weakens a check, and the environment has %q", path, name, env)
		case !weakens(name) && (len(env) != 1 || env[0] != environmentName(name)):
			t.Errorf("%s --%s: the environment has %q", path, name, env)
		}
		c := &configFile{app: app}
		if len(path) > 0 && !c.known(name, path) {
			t.Errorf("%s --%s has no key in a file", path, name)
		}
		if c.known(name+"x", path) {
			t.Errorf("%s --%sx, which does not exist, has a key", path, name)
		}
	}
	for _, f := range app.Flags {
		check(nil, f)
	}
	walk(app.Commands, nil, func(c *cli.Command, path []string) {
		for _, f := range c.Flags {
			check(path, f)
		}
	})
	if checked < 60 {
		t.Errorf("only %d flags were looked at", checked)
	}
}

func TestWeakens(t *testing.T) {
	for _, flag := range []string{
		"unsafe-no-status", "allow-bearer-unsafe", "insecure-loopback", "allow-es256", "compat", "partial", "force",
		"unsafe", "x-unsafe-y", "allow",
	} {
		if !weakens(flag) {
			t.Errorf("--%s weakens nothing", flag)
		}
	}
	for _, flag := range []string{"min-level", "issuer", "json", "out", "allowance", "forced"} {
		if weakens(flag) {
			t.Errorf("--%s weakens a check", flag)
		}
	}
}

func TestConfigLocate(t *testing.T) {
	for _, c := range []struct{ flag, value, want string }{
		{"key", "a.jwk", "home/a.jwk"},
		{"key", "/a.jwk", "/a.jwk"},
		{"key", "-", "-"},
		{"log", "https://log.example/x", "https://log.example/x"},
		{"log", "log", "home/log"},
		{"issuer", "https://r.example=k.json", "https://r.example=home/k.json"},
		{"issuer", "https://r.example=/k.json", "https://r.example=/k.json"},
		{"issuer", "https://r.example", "https://r.example"},
		{"audience", "a", "a"},
	} {
		if got := (&configFile{relative: "home"}).locate(c.flag, c.value); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.flag, c.value, got, c.want)
		}
		if got := (&configFile{}).locate(c.flag, c.value); got != c.value {
			t.Errorf("%s %q without a home: %q", c.flag, c.value, got)
		}
	}
}

func TestConfigRead(t *testing.T) {
	for text, want := range map[string]string{
		`a`: "a", `"a"`: "a", `[a, b]`: "a b", `12`: "12", `true`: "true", `""`: "",
		`~`: "!", `[]`: "!", `[~]`: "!", `[[a]]`: "!", `{a: b}`: "!", `[{a: b}]`: "!",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		values, err := (&configFile{name: "f"}).read(doc.Content[0])
		got := strings.Join(values, " ")
		if err != nil {
			got = "!"
			if codeOf(err) != exitUsage || !strings.HasPrefix(err.Error(), "f:1:") {
				t.Errorf("%s: exit code %d, %v", text, codeOf(err), err)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// What the program says when a file and the environment say it together.
func TestConfigOrder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte("unsafe-no-status: true\nbadge: {verify: {at: file}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"flag", map[string]string{"TOUCHMARK_AT": "environment"}, []string{"--config", file, "--at", "flag"}, `--at "flag"`},
		{"environment", map[string]string{"TOUCHMARK_AT": "environment"}, []string{"--config", file}, `--at "environment"`},
		{"file", nil, []string{"--config", file}, `--at "file"`},
		{"file with =", nil, []string{"--config=" + file}, `--at "file"`},
		{"inherited file", map[string]string{"TOUCHMARK_CONFIG": file}, nil, "a file that only the environment names must not weaken a check"},
		{"inherited file that a flag goes before", map[string]string{"TOUCHMARK_CONFIG": file}, []string{"--unsafe-no-status=false"}, `--at "file"`},
		{"inherited file that was named all the same", map[string]string{"TOUCHMARK_CONFIG": "x"}, []string{"--config", file}, `--at "file"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			if _, errOut := runForTest(t, append([]string{"badge", "verify", os.DevNull}, c.args...)...); !strings.Contains(errOut, c.want) {
				t.Errorf("%s, want %s", errOut, c.want)
			}
		})
	}
}

// runForTest runs the program in this process.
func runForTest(t *testing.T, args ...string) (out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	con := newConsole(strings.NewReader(""), &stdout, &stderr)
	app := newApp(con)
	line, err := arrange(app, append([]string{"touchmark"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	con.path, con.child, con.globals = line.path, line.child, line.globals
	con.finish(app.RunContext(t.Context(), line.argv()))
	return stdout.String(), stderr.String()
}
