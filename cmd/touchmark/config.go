package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// configure fills in the flags of a command that were not given, from the
// file that --config names and the directory that --home names. A command's
// flags stand under its path:
//
//	badge:
//	  verify:
//	    issuer: [https://registry.example]
//
// Flags that stand at the top hold for every command that has them, and what is
// nearer to the command goes before. A name that no command has is an error.
func (con *console) configure(ctx *cli.Context, path []string) error {
	con.noteIgnored(ctx.Command.Flags)
	home, inherited := ctx.Path("home"), !con.isTyped("home")
	if name := ctx.Path("config"); name != "" {
		c := &configFile{name: name, app: ctx.App, inherited: !con.isTyped("config")}
		if err := c.apply(ctx, path); err != nil {
			return err
		}
		if dir, ok := c.values["home"]; ok && home == "" {
			home, inherited = dir[0], c.inherited
		}
	}
	con.home = home
	if len(path) > 0 && path[0] == authorityName {
		return atAuthority(ctx, home, path, inherited)
	}
	if home != "" {
		return atHome(ctx, home, path, inherited)
	}
	if findFlag(ctx.Command.Flags, "as") != nil && ctx.IsSet("as") {
		return usagef("--as names files of a home: give it with --home DIR")
	}
	return nil
}

// A configFile is a file of flags while it is read.
type configFile struct {
	name string
	app  *cli.App
	// relative is the directory that file names in the file are relative to;
	// empty means the working directory.
	relative string
	// inherited: nobody named the file on the command line. It then must not
	// weaken a check.
	inherited bool

	depth  map[string]int // of the group that a flag was taken from
	values map[string][]string
	at     map[string]*yaml.Node
}

func (c *configFile) errorf(n *yaml.Node, format string, args ...any) error {
	return usagef("%s:%d:%d: %s", c.name, n.Line, n.Column, fmt.Sprintf(format, args...))
}

// apply checks the whole file, and sets the flags of the command at path that
// are not set.
func (c *configFile) apply(ctx *cli.Context, path []string) error {
	doc, err := c.parse(consoleOf(ctx))
	if err != nil || doc == nil {
		return err
	}
	c.depth, c.values, c.at = map[string]int{}, map[string][]string{}, map[string]*yaml.Node{}
	if err := c.group(doc, c.app.Commands, nil, path); err != nil {
		return err
	}
	if err := c.console(ctx); err != nil {
		return err
	}
	for _, flag := range slices.Sorted(maps.Keys(c.values)) {
		f := findFlag(ctx.Command.Flags, flag)
		if f == nil || ctx.IsSet(f.Names()[0]) || f.Names()[0] != flag && c.depth[flag] == 0 { // at the top an alias has another meaning
			continue
		}
		if err := c.set(ctx, f, flag); err != nil {
			return err
		}
	}
	return nil
}

// parse returns the one document in the file, nil if it holds none.
func (c *configFile) parse(con *console) (*yaml.Node, error) {
	data, err := con.readInput(c.name)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, usagef("%s: %v", c.name, err)
	}
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, usagef("%s: want one document", c.name)
	}
	return doc.Content[0], nil
}

// set gives a flag of the command the value that the file has for it.
func (c *configFile) set(ctx *cli.Context, f cli.Flag, flag string) error {
	values, at := c.values[flag], c.at[flag]
	if c.inherited && weakens(f.Names()[0]) {
		return hint(c.errorf(at, "%s: a file that only the environment names must not weaken a check", flag),
			"name the file, or its directory, on the command line: --config FILE, --home DIR")
	}
	if _, many := f.(*cli.StringSliceFlag); !many && len(values) != 1 {
		return c.errorf(at, "%s: want one value", flag)
	}
	for _, v := range values {
		if err := ctx.Set(f.Names()[0], c.locate(flag, v)); err != nil {
			return c.errorf(at, "%s: %v", flag, err)
		}
	}
	return nil
}

// fileFlags are the flags whose values are names of files.
var fileFlags = map[string]bool{
	"ca-file": true, "revocations": true, "cosign": true, "capabilities": true, "authzen-token": true, "did-document": true, "policy": true, "log-policy": true,
	"key": true, "badge": true, "identity": true, "evidence": true, "log": true,
	"passphrase-file": true, "tls-cert": true, "tls-key": true, "account-key-file": true, "grant": true,
	"pins": true, "registry": true, "registry-key": true, "registry-state": true, "also-key": true, "statement": true,
	"args": true, "input-responses": true, "receipt": true, "disclosure": true, "vault": true, "vault-key": true,
}

// locate makes a file name in the file relative to c.relative.
func (c *configFile) locate(flag, value string) string {
	if c.relative == "" || value == "-" {
		return value
	}
	if url, file, ok := strings.Cut(value, "="); ok && flag == "issuer" && !filepath.IsAbs(file) {
		return url + "=" + filepath.Join(c.relative, file)
	}
	if fileFlags[flag] && !filepath.IsAbs(value) && !strings.Contains(value, "://") {
		return filepath.Join(c.relative, value)
	}
	return value
}

// group walks one level of the file: the names of commands, and of their flags.
func (c *configFile) group(n *yaml.Node, commands []*cli.Command, at, path []string) error {
	if n.Kind != yaml.MappingNode {
		return c.errorf(n, "want names of flags and commands")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			return c.errorf(key, "%q stands there twice", key.Value)
		}
		seen[key.Value] = true
		if sub := findCommand(commands, key.Value); sub != nil && value.Kind == yaml.MappingNode {
			if err := c.group(value, sub.Subcommands, append(at[:len(at):len(at)], sub.Name), path); err != nil {
				return err
			}
			continue
		}
		if err := c.flag(key, value, at, path); err != nil {
			return err
		}
	}
	return nil
}

// flag takes one flag of the file in, if it concerns the command at path.
func (c *configFile) flag(key, value *yaml.Node, at, path []string) error {
	if !c.known(key.Value, at) {
		return c.errorf(key, "no flag or command %q", key.Value)
	}
	values, err := c.read(value)
	if err != nil || !isPrefix(at, path) {
		return err
	}
	if depth, ok := c.depth[key.Value]; ok && depth > len(at) {
		return nil
	}
	c.depth[key.Value], c.values[key.Value], c.at[key.Value] = len(at), values, key
	return nil
}

// consoleFlags are the flags of every command that a file may set.
var consoleFlags = map[string]func(*console) *bool{
	"json":    func(con *console) *bool { return &con.json },
	"quiet":   func(con *console) *bool { return &con.quiet },
	"verbose": func(con *console) *bool { return &con.verbose },
}

// console takes in what the file says of the console.
func (c *configFile) console(ctx *cli.Context) error {
	for flag, field := range consoleFlags {
		values, ok := c.values[flag]
		if !ok || ctx.IsSet(flag) {
			continue
		}
		on, err := strconv.ParseBool(strings.Join(values, " "))
		if err != nil {
			return c.errorf(c.at[flag], "%s: want true or false", flag)
		}
		*field(consoleOf(ctx)) = on
	}
	return nil
}

// known reports whether a command at or below the path has the flag.
func (c *configFile) known(flag string, at []string) bool {
	found := len(at) == 0 && (consoleFlags[flag] != nil || flag == "home")
	walk(c.app.Commands, nil, func(cmd *cli.Command, path []string) {
		if isPrefix(at, path) && findFlag(cmd.Flags, flag) != nil {
			found = true
		}
	})
	return found
}

func (c *configFile) read(n *yaml.Node) ([]string, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	values := make([]string, 0, len(items))
	for _, item := range items {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return nil, c.errorf(item, "want a value or a list of values")
		}
		values = append(values, item.Value)
	}
	if len(values) == 0 {
		return nil, c.errorf(n, "want a value or a list of values")
	}
	return values, nil
}

func isPrefix(prefix, path []string) bool {
	if len(prefix) > len(path) {
		return false
	}
	for i := range prefix {
		if prefix[i] != path[i] {
			return false
		}
	}
	return true
}

// atHome fills in from a home directory what was not given (see the topic home).
func atHome(ctx *cli.Context, dir string, path []string, inherited bool) error {
	if info, err := os.Stat(dir); err != nil {
		return hint(fmt.Errorf("--home: %w", err), "a home is made by: touchmark tour --keep DIR (see: touchmark help home)")
	} else if !info.IsDir() {
		return usagef("--home: %s is no directory", dir)
	}
	trust := filepath.Join(dir, "trust.yaml")
	if exists(trust) {
		c := &configFile{name: trust, app: ctx.App, relative: dir, inherited: inherited}
		if err := c.apply(ctx, path); err != nil {
			return err
		}
	}
	as := "agent"
	if findFlag(ctx.Command.Flags, "as") != nil && ctx.String("as") != "" {
		as = ctx.String("as")
		if _, err := os.Stat(filepath.Join(dir, as+".badge")); err != nil && !ctx.IsSet("badge") {
			return hint(fmt.Errorf("--as %s: %w", as, err), "without --as and --badge the call is anonymous")
		}
	}
	for flag, name := range map[string]string{
		"key": as + ".jwk", "badge": as + ".badge", "identity": ".", "evidence": "journal",
		"log": "log", "log-policy": "log.policy", "policy": "policy.yaml",
		"pins": homePins, "registry": "registry.jwt", "registry-key": "registry.pub.jwk",
	} {
		file := filepath.Join(dir, name)
		f := findFlag(ctx.Command.Flags, flag)
		if f == nil || f.Names()[0] != flag || ctx.IsSet(flag) || !exists(file) { // not by an alias: it has another meaning
			continue
		}
		if err := ctx.Set(flag, file); err != nil {
			return err
		}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
