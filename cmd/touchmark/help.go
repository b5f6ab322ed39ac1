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
Topics: {{.Name}} help exit-codes | config | environment | home | servers | pins
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
	"servers": serversTopic,
	"pins":    pinsTopic,
	"exit-codes": `Exit codes:
  0  done, or the verdict is yes
  1  the verdict is no: refused, invalid, inconsistent
  2  wrong usage, or malformed input or configuration
  3  it could not be told: unreachable, no status, no such file
  4  internal error

With --json an error is one object as well, unless a result was printed before it:
"verdict" ("rejected" with exit code 1, else "undetermined"), "code" and "reason".
Codes of the formats are in spec/; USAGE_INVALID, UNAVAILABLE, REFUSED and
INTERNAL_ERROR are those of the command itself.
`,
	"config": `--config FILE takes flags that are not given from a YAML file. A command's flags
stand under its name; what stands at the top holds for every command that has it:

  insecure-loopback: true
  badge:
    verify:
      issuer: [https://registry.example]
      audience: https://mcp.example.com

A name that no command has is an error. json, quiet, verbose and home may stand at
the top. A flag that may be given more than once takes a list.

Flags that weaken a check (--unsafe-*, --insecure-*, --allow-*, --compat, --partial, --each,
--force, --binding, --trust-on-first-use, --no-identity, --egress-enforced-by, --yes) are
possible in a file that --config or --home names: there they are written out. A file that only
TOUCHMARK_CONFIG or TOUCHMARK_HOME names must not have them.
`,
	"environment": `A flag has an environment variable: TOUCHMARK_ and the flag's name in upper case
with "_" for "-", so TOUCHMARK_MIN_LEVEL stands for --min-level. A flag on the command
line goes before the environment, and that before --config. Of a flag that may be
given more than once the environment gives one value.

Flags that weaken a check have none: --unsafe-*, --insecure-*, --allow-*, --compat,
--partial, --each, --force, --binding, --trust-on-first-use, --no-identity, --egress-enforced-by and
--yes. An environment is inherited, and nobody may notice what it says. Such a variable is ignored,
with a note; nor may a file that only TOUCHMARK_CONFIG or TOUCHMARK_HOME names have these
flags.
`,
	"home": `--home DIR says who I am and whom I trust, for call, connect and gateway. What is not given
by a flag is taken from these files, where they are there:

  agent.jwk, agent.badge     the key and the badge of a caller (or --as NAME: NAME.jwk, NAME.badge)
  server.jwk, server.badge   the key and the badge of a gateway, with server.did.json
  trust.yaml                 flags as in --config: issuer, trust-self-signed, revocations, ca-file, ...
  log, log.key, log.state    the log; log.policy says how to verify it
  journal                    the evidence
  policy.yaml                the rules of a gateway
  known-servers              pinned servers and tools (touchmark help pins)
  registry.jwt               approved servers, signed with registry.pub.jwk (touchmark help registry)

The home of ` + "`touchmark authority`" + ` is another one, which authority init makes: authority.yaml
there has flags of its commands.
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

// The completion scripts ask the program itself, with the words up to the cursor;
// the word at the cursor goes along when it begins a flag.
const (
	bashCompletion = `_touchmark() {
  local cur="${COMP_WORDS[COMP_CWORD]}" words=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  if [[ "$cur" == -* ]]; then words+=("$cur"); fi
  COMPREPLY=( $(compgen -W "$("${words[@]}" ` + completionFlag + ` 2>/dev/null)" -- "$cur") )
}
complete -o default -F _touchmark touchmark
`
	zshCompletion = `#compdef touchmark
_touchmark() {
  local -a line found
  line=("${(@)words[1,CURRENT-1]}")
  if [[ "${words[CURRENT]}" == -* ]]; then line+=("${words[CURRENT]}"); fi
  found=("${(@f)$("${line[@]}" ` + completionFlag + ` 2>/dev/null)}")
  if [[ -n "${found[*]}" ]]; then compadd -a found; else _files; fi
}
compdef _touchmark touchmark
`
)

// completionCommand prints what a shell needs for completion.
func completionCommand() *cli.Command {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion}
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
		if i := slices.Index(ctx.Args().Slice(), ""); i >= 0 {
			return usagef("%s: %s is empty", commandName(ctx), names[i])
		}
		return nil
	}
	what := "no arguments"
	if len(names) > 0 {
		what = strings.Join(names, " ")
	}
	err := usagef("%s takes %s: %d given", commandName(ctx), what, ctx.NArg())
	if strings.Contains(ctx.Command.ArgsUsage, childMark) {
		return hint(err, "a command to launch stands behind --, as in: %s ... -- node server.js", commandName(ctx))
	}
	return hint(err, "see: %s --help", commandName(ctx))
}

// required refuses a command without a flag that it needs.
func required(ctx *cli.Context, flags ...string) error {
	missing := slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return ctx.IsSet(f) && ctx.String(f) != "" })
	if len(missing) == 0 {
		return nil
	}
	return hint(usagef("%s needs --%s", commandName(ctx), strings.Join(missing, ", --")), "see: %s --help", commandName(ctx))
}

// notEmpty refuses flags that are given as nothing, as by a variable of a shell that is not set: a check would be left out.
func notEmpty(ctx *cli.Context, flags ...string) error {
	for _, f := range flags {
		if ctx.IsSet(f) && ctx.String(f) == "" {
			return hint(usagef("--%s is given, and empty", f), "leave it out, or say which")
		}
	}
	return nil
}
