package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

// The languages of policies.
const (
	engineTouchmark = "touchmark"
	engineCedar     = "cedar"
)

func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "engine", Value: engineTouchmark, Usage: "the `LANGUAGE` of the policy: touchmark or cedar"},
		&cli.PathFlag{Name: "capabilities", Usage: "with cedar: what capabilities are, in `FILE` (spec/decision-services.md section 2)"},
	}
}

// A tested policy can be tried with cases.
type tested interface {
	Version() string
	Test(cases []policy.Case) *policy.Report
}

// cedarTested tries Cedar policies as those of the other language are.
type cedarTested struct{ *cedar.Policy }

func (p cedarTested) Test(cases []policy.Case) *policy.Report { return policy.TestEngine(p, cases) }

// readTested reads a policy in the language that --engine names.
func readTested(ctx *cli.Context, name string) (tested, error) {
	switch ctx.String("engine") {
	case engineTouchmark:
		if ctx.IsSet("capabilities") {
			return nil, usagef("--capabilities is for --engine cedar; a policy file has its own")
		}
		return readRules(ctx, name)
	case engineCedar:
		return readCedar(ctx, name)
	}
	return nil, usagef("--engine %q is neither %s nor %s", ctx.String("engine"), engineTouchmark, engineCedar)
}

func readCedar(ctx *cli.Context, name string) (tested, error) {
	cfg := &cedar.Config{Enforces: ctx.StringSlice("enforces")}
	var err error
	if cfg.Capabilities, err = readCapabilities(ctx); err != nil {
		return nil, err
	}
	text, err := consoleOf(ctx).readInput(name)
	if err != nil {
		return nil, err
	}
	p, err := cfg.Parse(text)
	var e *cedar.Error
	if errors.As(err, &e) {
		return nil, inFile(name, err)
	}
	return cedarTested{p}, err
}
