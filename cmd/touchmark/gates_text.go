package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

// gateLine is what is said of a gate, a line of its own.
func gateLine(r *gates.Result) string {
	g, value := &r.Gate, "not applicable: the guard has no such part"
	switch {
	case r.State != gates.NoData:
		value = measured(r.Measure, g.Unit)
	case !r.NotApplicable:
		value = "nothing has happened yet"
	}
	below := "at most"
	if g.StrictTarget {
		below = "below"
	}
	bound := func(v float64) string { return measured(gates.Measure{Value: v}, g.Unit) }
	text := fmt.Sprintf("%-8s  %-18s %s; target %s %s, blocked above %s", strings.ReplaceAll(string(r.State), "_", " "), g.ID, value,
		below, bound(g.Target), bound(g.Block))
	if g.For > 0 {
		text += " for " + shortDuration(g.For)
	}
	return text + " (" + g.Owner + ")\n"
}

func measured(m gates.Measure, unit string) string {
	text := fmt.Sprintf("%g", m.Value)
	switch unit {
	case "s":
		text = shortDuration(time.Duration(m.Value * float64(time.Second)))
	case "ratio":
		text = fmt.Sprintf("%.3g%%", 100*m.Value)
	}
	if m.AtLeast {
		return "more than " + text
	}
	return text
}

// shortDuration rounds to three digits, and leaves out units that are zero.
func shortDuration(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 10*unit {
			d = d.Round(unit / 10)
			break
		}
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
