package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func testApp() *cli.App { return newApp(newConsole(strings.NewReader(""), io.Discard, io.Discard)) }

func TestArrange(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"in order", "badge verify --min-level 2 b", "badge verify --min-level 2 -- b"},
		{"flags last", "badge verify b --min-level 2", "badge verify --min-level 2 -- b"},
		{"with =", "badge verify b --min-level=2", "badge verify --min-level=2 -- b"},
		{"flag without value before an argument", "badge verify --compat b", "badge verify --compat -- b"},
		{"global flags anywhere", "--quiet badge --json verify b --home h", "--quiet --json --home h badge verify -- b"},
		{"one hyphen", "badge verify -min-level 2 b", "badge verify -min-level 2 -- b"},
		{"standard input", "key show -", "key show -- -"},
		{"value that is a hyphen", "did document --key - --did d", "did document --key - --did d"},
		{"value with one hyphen", "badge verify --audience -x b", "badge verify --audience -x -- b"},
		{"arguments that look like flags", "key show -- --out", "key show -- --out"},
		{"alias of a flag", "log checkpoint --policy p", "log checkpoint --policy p"},
		{"version", "--version", "version"},
		{"no command", "--json", "--json"},
		{"flag of command and of none", "call --args {} u t", "call --args {} -- u t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, err := arrange(testApp(), append([]string{"touchmark"}, strings.Fields(c.line)...))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(line.argv()[1:], " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestArrangeChild(t *testing.T) {
	for _, c := range []struct {
		line      string
		child     []string
		arguments []string
	}{
		{"gateway --json -- npx x --json -- y", []string{"npx", "x", "--json", "--", "y"}, nil},
		{"call tool a=1 -- cmd -h", []string{"cmd", "-h"}, []string{"tool", "a=1"}},
		{"server verify --", []string{}, nil},
		{"server verify u", nil, []string{"u"}},
		{"key show -- cmd", nil, []string{"cmd"}},
	} {
		line, err := arrange(testApp(), append([]string{"touchmark"}, strings.Fields(c.line)...))
		if err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		if !slices.Equal(line.child, c.child) || (line.child == nil) != (c.child == nil) || !slices.Equal(line.arguments, c.arguments) {
			t.Errorf("%s: child %q, arguments %q", c.line, line.child, line.arguments)
		}
		if line.help {
			t.Errorf("%s: what is behind -- asks for help", c.line)
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"bagde":                             `touchmark has no command "bagde"; did you mean: touchmark badge`,
		"badge verfy":                       `touchmark badge has no command "verfy"; did you mean: touchmark badge verify`,
		"xyzzy":                             `touchmark has no command "xyzzy"; see: touchmark --help`,
		"badge verify --isuer x":            `touchmark badge verify has no flag --isuer; did you mean: --issuer`,
		"badge verify --qiuet":              `touchmark badge verify has no flag --qiuet; did you mean: --quiet`,
		"badge verify -x":                   `touchmark badge verify has no flag -x; see: touchmark badge verify --help`,
		"badge verify --xyzzy=3":            `touchmark badge verify has no flag --xyzzy; see: touchmark badge verify --help`,
		"--min-level 2 badge verify":        `--min-level stands before the command that it belongs to; put it behind, as in: touchmark badge verify --min-level ...`,
		"badge --self-sign issue":           `--self-sign stands before the command that it belongs to; put it behind, as in: touchmark badge issue --self-sign ...`,
		"key new --out":                     `--out has no value; see: touchmark key new --help`,
		"key new --out --force":             `--out has no value; see: touchmark key new --help`,
		"call --home -- cmd":                `--home has no value; see: touchmark call --help`,
		"server verify --min-level -- true": `--min-level has no value; see: touchmark server verify --help`,
	} {
		_, err := arrange(testApp(), append([]string{"touchmark"}, strings.Fields(line)...))
		if err == nil {
			t.Errorf("%s: accepted", line)
			continue
		}
		if got := strings.Join(append([]string{err.Error()}, nextSteps(err)...), "; "); got != want || codeOf(err) != exitUsage {
			t.Errorf("%s: exit code %d, %s; want %s", line, codeOf(err), got, want)
		}
	}
}

func TestCompleted(t *testing.T) {
	for line, want := range map[string]string{
		"touchmark":                     "touchmark",
		"touchmark badge verify --i":    "touchmark badge verify --i",
		"touchmark badge verify --":     "touchmark badge verify -",
		"touchmark call u t -- cmd":     "",
		"touchmark key new -- --out --": "",
	} {
		if got := strings.Join(completed(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestAsksForJSON(t *testing.T) {
	for line, want := range map[string]bool{
		"badge --json": true, "-json": true, "--json=true x": true, "--json=false": false, "call -- --json": false, "": false,
	} {
		if got := asksForJSON(strings.Fields(line)); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}
