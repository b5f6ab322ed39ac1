package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// environmentPrefix begins the names of the environment variables that stand
// for flags: TOUCHMARK_MIN_LEVEL for --min-level.
const environmentPrefix = "TOUCHMARK_"

// withEnvironment lets the environment stand for flags that are not given.
func withEnvironment(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		name := environmentPrefix + strings.ToUpper(strings.ReplaceAll(f.Names()[0], "-", "_"))
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.EnvVars = []string{name}
		case *cli.StringFlag:
			f.EnvVars = []string{name}
		case *cli.PathFlag:
			f.EnvVars = []string{name}
		case *cli.StringSliceFlag:
			f.EnvVars = []string{name}
		case *cli.DurationFlag:
			f.EnvVars = []string{name}
		case *cli.Uint64Flag:
			f.EnvVars = []string{name}
		}
	}
	return flags
}

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
	if name := ctx.Path("config"); name != "" {
		c := &configFile{name: name, app: ctx.App}
		if err := c.apply(ctx, path); err != nil {
			return err
		}
	}
	if dir := ctx.Path("home"); dir != "" {
		return atHome(ctx, dir, path)
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
	data, err := os.ReadFile(c.name)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return usagef("%s: %v", c.name, err)
	}
	if doc.Kind == 0 {
		return nil
	}
	c.depth, c.values, c.at = map[string]int{}, map[string][]string{}, map[string]*yaml.Node{}
	if err := c.group(doc.Content[0], c.app.Commands, nil, path); err != nil {
		return err
	}
	if err := c.console(ctx); err != nil {
		return err
	}
	for flag, values := range c.values {
		if findFlag(ctx.Command.Flags, flag) == nil || ctx.IsSet(flag) {
			continue
		}
		for _, v := range values {
			if err := ctx.Set(flag, c.locate(flag, v)); err != nil {
				return c.errorf(c.at[flag], "%s: %v", flag, err)
			}
		}
	}
	return nil
}

// fileFlags are the flags whose values are names of files.
var fileFlags = map[string]bool{
	"ca-file": true, "revocations": true, "did-document": true, "policy": true, "log-policy": true,
	"key": true, "badge": true, "identity": true, "evidence": true, "log": true,
}

// locate makes a file name in the file relative to c.relative.
func (c *configFile) locate(flag, value string) string {
	if c.relative == "" {
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
	found := len(at) == 0 && consoleFlags[flag] != nil
	walk(c.app.Commands, nil, func(cmd *cli.Command, path []string) {
		if isPrefix(at, path) && findFlag(cmd.Flags, flag) != nil {
			found = true
		}
	})
	return found
}

func (c *configFile) read(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return []string{n.Value}, nil
	case yaml.SequenceNode:
		var values []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, c.errorf(item, "want a value")
			}
			values = append(values, item.Value)
		}
		return values, nil
	}
	return nil, c.errorf(n, "want a value or a list of values")
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
func atHome(ctx *cli.Context, dir string, path []string) error {
	trust := filepath.Join(dir, "trust.yaml")
	if exists(trust) {
		c := &configFile{name: trust, app: ctx.App, relative: dir}
		if err := c.apply(ctx, path); err != nil {
			return err
		}
	}
	as := "agent"
	if findFlag(ctx.Command.Flags, "as") != nil && ctx.String("as") != "" {
		as = ctx.String("as")
	}
	for flag, name := range map[string]string{
		"key": as + ".jwk", "badge": as + ".badge", "identity": ".", "evidence": "journal",
		"log": "log", "log-policy": "log.policy", "policy": "policy.yaml",
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
