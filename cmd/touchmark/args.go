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

// arrange sorts the arguments by what the commands of app say about flags.
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
			into, takesValue := line.flag(app, current, arg)
			*into = append(*into, arg)
			if takesValue && !strings.Contains(arg, "=") && i+1 < len(args) {
				i++
				*into = append(*into, args[i])
			}
		case len(commands) > 0:
			next := findCommand(commands, arg)
			if next == nil {
				return nil, unknownCommand(arg, commands, strings.Join(append([]string{app.Name}, line.path...), " "))
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

// flag says where a flag belongs and whether the next argument is its value. A
// flag that nobody knows goes to the command, which refuses it.
func (l *commandLine) flag(app *cli.App, current *cli.Command, arg string) (into *[]string, takesValue bool) {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if current != nil {
		if f := findFlag(current.Flags, name); f != nil {
			return &l.flags, takesAValue(f)
		}
	}
	if f := findFlag(app.Flags, name); f != nil {
		return &l.globals, takesAValue(f)
	}
	if current == nil {
		return &l.globals, false
	}
	return &l.flags, false
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
