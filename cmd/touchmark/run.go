package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// run is the whole program but for the end of the process. args begin with the
// program's name.
func run(args []string) (code exitCode) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	con := newConsole(os.Stdin, os.Stdout, os.Stderr)
	defer func() {
		if r := recover(); r != nil {
			code = con.finish(fmt.Errorf("internal error: %v", r))
			fmt.Fprintf(con.err, "%s", debug.Stack())
		}
	}()
	app := newApp(con)
	if n := len(args); n > 1 && args[n-1] == completionFlag {
		if args = completed(args[:n-1]); args == nil {
			return exitOK
		}
		return con.finish(app.RunContext(ctx, append(args, completionFlag)))
	}
	line, err := arrange(app, args)
	con.globals = line.globals
	if err != nil {
		con.json = asksForJSON(args)
		return con.finish(err)
	}
	if line.help {
		line = &commandLine{program: args[0], path: append([]string{"help"}, line.path...)}
	}
	con.path, con.child = line.path, line.child
	return con.finish(app.RunContext(ctx, line.argv()))
}

// completed is a command line up to the cursor in the form that is completed,
// nil when nothing can be: behind "--" stand arguments, which would be run.
func completed(args []string) []string {
	at := slices.Index(args, "--")
	switch {
	case at < 0:
		return slices.Clone(args)
	case at == len(args)-1: // the beginning of any flag
		return append(slices.Clone(args[:at]), "-")
	}
	return nil
}

// asksForJSON reads from a command line that cannot be sorted how its error is to
// be told.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		switch arg {
		case "--":
			return false
		case "--json", "-json", "--json=true", "-json=true":
			return true
		}
	}
	return false
}

// newApp builds the tree of commands around a console.
func newApp(con *console) *cli.App {
	app := &cli.App{
		Name:                      "touchmark",
		HelpName:                  "touchmark",
		Usage:                     "trust badges, guarded calls, and evidence that anyone can check",
		Commands:                  commands(),
		Flags:                     globalFlags(),
		Writer:                    con.out,
		ErrWriter:                 con.err,
		Reader:                    con.in,
		HideHelpCommand:           true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		EnableBashCompletion:      true,
		CustomAppHelpTemplate:     appHelp,
		Metadata:                  map[string]any{consoleKey: con},
		ExitErrHandler:            func(*cli.Context, error) {}, // run ends the process, nobody else
		OnUsageError:              usageFromFlags,
		Before:                    con.begin,
		Action:                    withoutCommand,
	}
	app.Commands = append(app.Commands, helpCommand(app), completionCommand())
	walk(app.Commands, nil, func(c *cli.Command, path []string) { prepare(con, c, path) })
	return app
}

// prepare gives a command what all commands have in common.
func prepare(con *console, c *cli.Command, path []string) {
	c.HideHelpCommand = true
	c.OnUsageError = usageFromFlags
	c.CustomHelpTemplate = commandHelp
	c.Flags = withEnvironment(c.Flags)
	if c.Action == nil {
		c.Action = withoutCommand
	}
	if len(c.Subcommands) == 0 {
		c.Before = func(ctx *cli.Context) error { return con.configure(ctx, path) }
	}
}

// walk calls visit for every command below commands, parents first.
func walk(commands []*cli.Command, above []string, visit func(c *cli.Command, path []string)) {
	for _, c := range commands {
		path := append(slices.Clone(above), c.Name)
		visit(c, path)
		walk(c.Subcommands, path, visit)
	}
}

func usageFromFlags(ctx *cli.Context, err error, _ bool) error {
	text := strings.Replace(err.Error(), " for flag -", " for flag --", 1)
	return hint(usagef("%s", text), "see: %s --help", commandName(ctx))
}

// withoutCommand is what a group of commands does when none of them is named.
func withoutCommand(ctx *cli.Context) error {
	if ctx.Args().Present() {
		return unknownCommand(ctx.Args().First(), ctx.Command.Subcommands, commandName(ctx))
	}
	if err := showHelp(ctx.App.ErrWriter, ctx); err != nil {
		return err
	}
	return errSilentUsage
}

// errSilentUsage ends a command that was used wrongly and has said so.
var errSilentUsage = &failure{code: exitUsage, err: errors.New("")}

func commandName(ctx *cli.Context) string {
	if ctx.Command == nil || ctx.Command.HelpName == "" {
		return ctx.App.Name
	}
	return ctx.Command.HelpName
}
