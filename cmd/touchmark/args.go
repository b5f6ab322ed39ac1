package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// A commandLine is the arguments of the program, sorted: flags may stand before
// and behind arguments, and those of every command anywhere.
type commandLine struct {
	program   string
	globals   []string
	path      []string // of the command
	flags     []string
	arguments []string
	child     []string // a command line to run, what follows "--"
	help      bool
}

func (l *commandLine) argv() []string {
	argv := slices.Concat([]string{l.program}, l.globals, l.path, l.flags)
	if len(l.arguments) > 0 {
		argv = append(append(argv, "--"), l.arguments...)
	}
	return argv
}

// arrange sorts the arguments by what the commands of app say about flags. With
// an error it returns what it had sorted so far.
func arrange(app *cli.App, args []string) (*commandLine, error) {
	line := &commandLine{program: args[0]}
	commands, current := app.Commands, (*cli.Command)(nil)
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			line.rest(current, args[i+1:])
			return line, nil
		case isFlag(arg) && current == nil && (arg == "--version" || arg == "-version"):
			line.path = []string{"version"}
			return line, nil
		case arg == "--help" || arg == "-h":
			line.help = true
		case isFlag(arg):
			n, err := line.flag(app, current, args[i:])
			if err != nil {
				return line, err
			}
			i += n - 1
		case len(commands) > 0:
			next := findCommand(commands, arg)
			if next == nil {
				return line, unknownCommand(arg, commands, strings.Join(append([]string{app.Name}, line.path...), " "))
			}
			current, commands = next, next.Subcommands
			line.path = append(line.path, next.Name)
		default:
			line.arguments = append(line.arguments, arg)
		}
	}
	return line, nil
}

// rest is what follows "--".
func (l *commandLine) rest(current *cli.Command, args []string) {
	if current != nil && strings.Contains(current.ArgsUsage, childMark) {
		l.child = append([]string{}, args...)
		return
	}
	l.arguments = append(l.arguments, args...)
}

// flag takes in the flag that args begins with, and returns how many of args it
// is: with its value, two.
func (l *commandLine) flag(app *cli.App, current *cli.Command, args []string) (int, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	into, f := &l.flags, cli.Flag(nil)
	if current != nil {
		f = findFlag(current.Flags, name)
	}
	if f == nil {
		into, f = &l.globals, findFlag(app.Flags, name)
	}
	if f == nil {
		return 0, l.unknownFlag(app, current, strings.TrimSuffix(args[0], "="+value))
	}
	n := 1
	if takesAValue(f) && !hasValue {
		if len(args) < 2 || strings.HasPrefix(args[1], "--") {
			return 0, hint(usagef("--%s has no value", name), "see: %s --help", l.commandName(app))
		}
		n = 2
	}
	*into = append(*into, args[:n]...)
	return n, nil
}

func (l *commandLine) commandName(app *cli.App) string {
	return strings.Join(append([]string{app.Name}, l.path...), " ")
}

// unknownFlag says where a flag belongs, or which one is like it.
func (l *commandLine) unknownFlag(app *cli.App, current *cli.Command, flag string) error {
	name := strings.TrimLeft(flag, "-")
	commands, among := app.Commands, app.Flags
	if current != nil {
		commands, among = current.Subcommands, append(slices.Clone(current.Flags), app.Flags...)
	}
	elsewhere := ""
	walk(commands, l.path, func(c *cli.Command, path []string) {
		if elsewhere == "" && findFlag(c.Flags, name) != nil {
			elsewhere = app.Name + " " + strings.Join(path, " ")
		}
	})
	if elsewhere != "" {
		return hint(usagef("%s stands before the command that it belongs to", flag), "put it behind, as in: %s --%s ...", elsewhere, name)
	}
	err := usagef("%s has no flag %s", l.commandName(app), flag)
	for _, f := range among {
		if near(name, f.Names()[0]) {
			return hint(err, "did you mean: --%s", f.Names()[0])
		}
	}
	return hint(err, "see: %s --help", l.commandName(app))
}

func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

func findFlag(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func takesAValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
