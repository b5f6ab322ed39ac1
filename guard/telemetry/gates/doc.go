// Package gates says whether a guard in operation keeps within its operational gates: how long decisions take, whether
// risky writes run unapproved, how long approvals wait, whether unknown servers are met, how much output is quarantined.
//
// [Parse] the metrics that a guard serves (guard/telemetry), and [Check] one scrape, or [CheckBetween] two:
//
//	scrape, err := gates.Parse(body)
//	report, err := gates.Check(scrape)
//	if report.Blocked() { ... }
//
// [Rules] are the same gates as alert rules for Prometheus. The table is in spec/telemetry.md section 4.
package gates

import _ "embed"

//go:embed rules.yaml
var rules []byte

// Rules returns a file of alert rules for Prometheus: for each gate one for a missed target, and one for its block
// condition.
func Rules() []byte { return append([]byte(nil), rules...) }
