package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

func gatesCommand() *cli.Command {
	return &cli.Command{
		Name: "gates", Usage: "hold a guard in operation against its gates",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "hold the metrics of a running guard against the gates", ArgsUsage: "URL | FILE",
				Description: "URL is what --metrics of a gateway serves: https, http at a loopback address, or unix:/socket. What\n" +
					"is measured is everything since the guard started; with --window D,\n" +
					"what happens from now on for that long; with --before FILE, what happened since that file was saved.\n\n" +
					"The exit code is 0 while no block condition is met, also if a target is missed, which is said on\n" +
					"standard error; 1 if one is met; 3 if the metrics cannot be had, or are not those of a guard.\n\n" +
					"EXAMPLES\n" +
					"  touchmark gates check --window 15m http://127.0.0.1:9464/metrics\n" +
					"  curl -s --unix-socket guard.sock http://guard/metrics | touchmark gates check -",
				Flags: []cli.Flag{
					&cli.DurationFlag{Name: "window", Usage: "measure for `DURATION`, by two looks at URL"},
					&cli.PathFlag{Name: "before", Usage: "measure since the metrics in `FILE`"},
					&cli.BoolFlag{Name: "strict", Usage: "a missed target refuses too (1), and so does nothing measured for a gate that applies (3)"},
					&cli.StringFlag{Name: "ca-file", Usage: "verify an https server with the PEM certificates in `FILE` instead of the system's"},
				},
				Action: gatesCheck,
			},
			{
				Name: "rules", Usage: "print the gates as alert rules for Prometheus",
				Description: "EXAMPLE\n  touchmark gates rules > touchmark-gates.yaml",
				Action: func(ctx *cli.Context) error {
					if err := wantArgs(ctx); err != nil {
						return err
					}
					_, err := consoleOf(ctx).out.Write(gates.Rules())
					return err
				},
			},
		},
	}
}

// Codes of verdicts on operation (spec/telemetry.md section 4).
const (
	codeGateBlocked = "GATE_BLOCKED"
	codeGateMissed  = "GATE_TARGET_MISSED"
	codeGateNoData  = "GATE_NO_DATA"
)

type gateJSON struct {
	Gate          string  `json:"gate"`
	State         string  `json:"state"` // within, missed, blocked, no_data
	NotApplicable bool    `json:"not_applicable,omitempty"`
	Value         float64 `json:"value"`
	AtLeast       bool    `json:"at_least,omitempty"`
	Events        float64 `json:"events"`
	Unit          string  `json:"unit,omitempty"`
	Target        float64 `json:"target"`
	Block         float64 `json:"block"`
	ForSeconds    float64 `json:"for_seconds,omitempty"`
	Owner         string  `json:"owner"`
}

type gatesJSON struct {
	Verdict  string     `json:"verdict"`
	Code     string     `json:"code,omitempty"`
	Measured string     `json:"measured"` // lifetime, window
	Window   float64    `json:"window_seconds,omitempty"`
	WholeP95 float64    `json:"whole_decision_p95,omitempty"` // in seconds, with the record
	Gates    []gateJSON `json:"gates"`
}

func gatesCheck(ctx *cli.Context) error {
	if err := wantArgs(ctx, "URL|FILE"); err != nil {
		return err
	}
	window := ctx.Duration("window")
	if ctx.IsSet("window") && (window <= 0 || ctx.IsSet("before")) {
		return usagef("--window is a duration above zero, and excludes --before")
	}
	report, err := measureGates(ctx, window)
	if err != nil {
		return err
	}
	result := gatesJSON{Verdict: verdictAccepted, Measured: "lifetime", WholeP95: report.Whole.Value, Gates: []gateJSON{}}
	text := "measured  since the guard started\n"
	if window > 0 || ctx.IsSet("before") {
		result.Measured, result.Window = "window", window.Seconds()
		text = "measured  between two looks\n"
	}
	for i := range report.Results {
		r := &report.Results[i]
		g := &r.Gate
		result.Gates = append(result.Gates, gateJSON{
			g.ID, string(r.State), r.NotApplicable, r.Value, r.AtLeast, r.Events, g.Unit, g.Target, g.Block, g.For.Seconds(), g.Owner,
		})
		text += gateLine(r)
	}
	if w := report.Whole; w.Events > 0 {
		text += fmt.Sprintf("note      a decision with its record takes %s at the 95th percentile\n", measured(w, "s"))
	}
	refusal := gatesRefusal(ctx, report, &result)
	if err := consoleOf(ctx).result(result, text); err != nil {
		return err
	}
	return refusal
}

// gatesRefusal is the verdict on a report, nil if it is yes.
func gatesRefusal(ctx *cli.Context, report *gates.Report, result *gatesJSON) error {
	in := func(s gates.State) string {
		var ids []string
		for i := range report.Results {
			if r := &report.Results[i]; r.State == s && !r.NotApplicable {
				ids = append(ids, r.Gate.ID)
			}
		}
		return strings.Join(ids, ", ")
	}
	missed, empty := in(gates.Missed), in(gates.NoData)
	strict := ctx.Bool("strict")
	switch {
	case report.Blocked():
		result.Verdict, result.Code = verdictRejected, codeGateBlocked
		return rejectedf("blocked: %s: stop, until its owner has looked", in(gates.Blocked))
	case missed != "" && strict:
		result.Verdict, result.Code = verdictRejected, codeGateMissed
		return rejectedf("target missed: %s", missed)
	case empty != "" && strict:
		result.Verdict, result.Code = verdictUndetermined, codeGateNoData
		return undeterminedf("no data: %s", empty)
	case missed != "":
		result.Code = codeGateMissed
		consoleOf(ctx).note("target missed, not blocked: %s", missed)
	}
	return nil
}

// measureGates reads the metrics, once or twice.
func measureGates(ctx *cli.Context, window time.Duration) (*gates.Report, error) {
	read, err := metricsReader(ctx, ctx.Args().First())
	if err != nil {
		return nil, err
	}
	var before *gates.Scrape
	switch name := ctx.Path("before"); {
	case name != "":
		text, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		if before, err = parseMetrics(name, text); err != nil {
			return nil, err
		}
	case window > 0:
		if !isMetricsURL(ctx.Args().First()) {
			return nil, hint(usagef("--window looks at a URL twice"), "for two files: --before FILE")
		}
		if before, err = read(); err != nil {
			return nil, err
		}
		consoleOf(ctx).note("measuring for %s", window)
		select {
		case <-time.After(window):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	after, err := read()
	if err != nil {
		return nil, err
	}
	report, err := gates.Check(after)
	if before != nil {
		report, err = gates.CheckBetween(before, after)
	}
	if err != nil {
		return nil, undeterminedf("%s: %v", ctx.Args().First(), err)
	}
	return report, nil
}

// parseMetrics: metrics that are malformed tell nothing, whoever served them.
func parseMetrics(from string, text []byte) (*gates.Scrape, error) {
	s, err := gates.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, undeterminedf("%s: %v", from, err)
	}
	return s, nil
}

func isMetricsURL(target string) bool {
	return slices.ContainsFunc([]string{"http://", "https://", unixPrefix}, func(p string) bool { return strings.HasPrefix(target, p) })
}
