package main

import "github.com/urfave/cli/v2"

// commands are all commands of the program, in the order of its help. Each is
// made in a file of its own.
func commands() []*cli.Command {
	return []*cli.Command{
		keyCommand(),
		didCommand(),
		badgeCommand(),
		authorityCommand(),
		agentCommand(),
		serverCommand(),
		callCommand(),
		connectCommand(),
		gatewayCommand(),
		policyCommand(),
		registryCommand(),
		evidenceCommand(),
		gatesCommand(),
		logCommand(),
		tourCommand(),
		versionCommand(),
	}
}

// globalFlags may stand anywhere on the command line.
func globalFlags() []cli.Flag {
	return withEnvironment([]cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print the result as one JSON object, streams as JSON lines"},
		&cli.BoolFlag{Name: "quiet", Usage: "no notes on standard error; errors are still explained"},
		&cli.BoolFlag{Name: "verbose", Usage: "more notes on standard error"},
		&cli.PathFlag{Name: "config", Usage: "take flags that are not given from `FILE` (see: touchmark help config)"},
		&cli.PathFlag{Name: "home", Usage: "a `DIR` that says who I am and whom I trust (see: touchmark help home)"},
	})
}

const (
	// A command whose ArgsUsage contains this takes what follows "--" as a
	// command line of its own.
	childMark = "-- CMD"

	completionFlag = "--generate-bash-completion"
)
