package main

import (
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Name}} - {{.Usage}}

USAGE
  {{.Name}} COMMAND [FLAGS] [ARGUMENTS]

COMMANDS
{{range .VisibleCommands}}  {{printf "%-12s" .Name}}{{.Usage}}
{{end}}
FLAGS OF EVERY COMMAND
{{range .VisibleFlags}}  {{.}}
{{end}}
Begin with: {{.Name}} tour
Topics: {{.Name}} help exit-codes | config | environment | home
`

const commandHelp = `{{.HelpName}} - {{.Usage}}

USAGE
  {{.HelpName}}{{if .Subcommands}} COMMAND{{end}}{{if .VisibleFlags}} [FLAGS]{{end}}{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}{{if .Subcommands}}
COMMANDS
{{range .VisibleCommands}}  {{printf "%-12s" .Name}}{{.Usage}}
{{end}}{{end}}{{if .VisibleFlags}}
FLAGS
{{range .VisibleFlags}}  {{.}}
{{end}}{{end}}`

// topics are the texts of `touchmark help TOPIC`.
var topics = map[string]string{
	"exit-codes": `Exit codes:
  0  done, or the verdict is yes
  1  the verdict is no: refused, invalid, inconsistent
  2  wrong usage, or malformed input or configuration
  3  it could not be told: unreachable, no status, no such file
  4  internal error
`,
	"config": `--config FILE takes flags that are not given from a YAML file. A command's flags
stand under its name; what stands at the top holds for every command that has it:

  insecure-loopback: true
  badge:
    verify:
      issuer: [https://registry.example]
      audience: https://mcp.example.com

A name that no command has is an error.
`,
	"environment": `Every flag has an environment variable: TOUCHMARK_ and the flag's name in upper
case with "_" for "-", so TOUCHMARK_MIN_LEVEL stands for --min-level. A flag on the
command line goes before the environment, and that before --config.
`,
	"home": `--home DIR says who I am and whom I trust, for call and gateway. What is not given
by a flag is taken from these files, where they are there:

  agent.jwk, agent.badge     the key and the badge of a caller (or --as NAME: NAME.jwk, NAME.badge)
  server.jwk, server.badge   the key and the badge of a gateway, with server.did.json
  trust.yaml                 flags as in --config: issuer, trust-self-signed, revocations, ca-file, ...
  log, log.key, log.state    the log; log.policy says how to verify it
  journal                    the evidence
  policy.yaml                the rules of a gateway
`,
}

func helpCommand(app *cli.App) *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "explain a command or a topic", ArgsUsage: "[COMMAND...|TOPIC]",
		Action: func(ctx *cli.Context) error {
			words := ctx.Args().Slice()
			if len(words) == 1 {
				if text, ok := topics[words[0]]; ok {
					_, err := io.WriteString(consoleOf(ctx).out, text)
					return err
				}
			}
			return helpOn(ctx, app, words)
		},
	}
}

func helpOn(ctx *cli.Context, app *cli.App, words []string) error {
	if len(words) == 0 {
		cli.HelpPrinter(consoleOf(ctx).out, appHelp, app)
		return nil
	}
	commands, name := app.Commands, app.Name
	var found *cli.Command
	for _, word := range words {
		if found = findCommand(commands, word); found == nil {
			return unknownCommand(word, commands, name)
		}
		commands, name = found.Subcommands, name+" "+found.Name
	}
	found.HelpName = name
	cli.HelpPrinter(consoleOf(ctx).out, commandHelp, found)
	return nil
}

// showHelp prints the help of the command at hand.
func showHelp(w io.Writer, ctx *cli.Context) error {
	if ctx.Command == nil || ctx.Command.Name == "" || ctx.Command.Name == ctx.App.Name {
		cli.HelpPrinter(w, appHelp, ctx.App)
		return nil
	}
	cli.HelpPrinter(w, commandHelp, ctx.Command)
	return nil
}

// completionCommand prints what a shell needs for completion.
func completionCommand(app *cli.App) *cli.Command {
	scripts := map[string]string{
		"bash": "_touchmark() { COMPREPLY=( $(compgen -W \"$(\"${COMP_WORDS[@]:0:$COMP_CWORD}\" " + completionFlag + " 2>/dev/null)\" -- \"${COMP_WORDS[COMP_CWORD]}\") ); }\ncomplete -o default -F _touchmark " + app.Name + "\n",
		"zsh":  "#compdef " + app.Name + "\n_touchmark() { local -a words_; words_=(${(f)\"$(${words[@]:0:$#words-1} " + completionFlag + " 2>/dev/null)\"}); _describe 'command' words_ || _files; }\ncompdef _touchmark " + app.Name + "\n",
	}
	return &cli.Command{
		Name: "completion", Usage: "print a completion script for a shell", ArgsUsage: "bash|zsh",
		Description: "EXAMPLE\n  source <(touchmark completion bash)",
		Action: func(ctx *cli.Context) error {
			text, ok := scripts[ctx.Args().First()]
			if !ok || ctx.NArg() != 1 {
				return usagef("want one shell: bash or zsh")
			}
			_, err := io.WriteString(consoleOf(ctx).out, text)
			return err
		},
	}
}

// wantArgs refuses other numbers of arguments than the command takes.
func wantArgs(ctx *cli.Context, names ...string) error {
	if ctx.NArg() == len(names) {
		return nil
	}
	what := "no arguments"
	if len(names) > 0 {
		what = strings.Join(names, " ")
	}
	return hint(usagef("%s takes %s, not %d arguments", commandName(ctx), what, ctx.NArg()), "see: %s --help", commandName(ctx))
}

// required refuses a command without a flag that it needs.
func required(ctx *cli.Context, flags ...string) error {
	missing := slices.DeleteFunc(slices.Clone(flags), ctx.IsSet)
	if len(missing) == 0 {
		return nil
	}
	return hint(usagef("%s needs --%s", commandName(ctx), strings.Join(missing, ", --")), "see: %s --help", commandName(ctx))
}
