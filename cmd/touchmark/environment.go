package main

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// environmentPrefix begins the names of the environment variables that stand
// for flags: TOUCHMARK_MIN_LEVEL for --min-level.
const environmentPrefix = "TOUCHMARK_"

func environmentName(flag string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// weakens reports whether a flag takes a check away. Such a flag is written
// where it can be seen, on the command line or in a file that is named there: an
// environment is inherited from whoever set it, long ago and for something else.
func weakens(flag string) bool {
	for _, word := range strings.Split(flag, "-") {
		if word == "unsafe" || word == "insecure" || word == "allow" {
			return true
		}
	}
	switch flag {
	case "compat", "partial", "each", "force", "binding", "trust-on-first-use", "yes", "no-identity", "egress-enforced-by", "authzen-send-arguments", "trusted-proxy":
		return true
	}
	return false
}

// withEnvironment lets the environment stand for flags that are not given,
// except for those that weaken a check.
func withEnvironment(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if weakens(f.Names()[0]) {
			continue
		}
		name := []string{environmentName(f.Names()[0])}
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.EnvVars = name
		case *cli.StringFlag:
			f.EnvVars = name
		case *cli.PathFlag:
			f.EnvVars = name
		case *cli.StringSliceFlag:
			f.EnvVars = name
		case *cli.DurationFlag:
			f.EnvVars = name
		case *cli.Uint64Flag:
			f.EnvVars = name
		case *cli.IntFlag:
			f.EnvVars = name
		}
	}
	return flags
}

// noteIgnored says which variables of the environment were not listened to.
func (con *console) noteIgnored(flags []cli.Flag) {
	for _, f := range flags {
		flag := f.Names()[0]
		if os.Getenv(environmentName(flag)) != "" && weakens(flag) {
			con.note("%s is ignored: --%s is not taken from the environment", environmentName(flag), flag)
		}
	}
}

// isTyped reports whether a flag of every command stands on the command line.
func (con *console) isTyped(flag string) bool {
	return slices.ContainsFunc(con.globals, func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return isFlag(arg) && name == flag
	})
}
