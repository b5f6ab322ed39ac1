// Package monitor follows a transparency log of records and keeps proof of every fault that it finds.
//
// Make a [Monitor] with [Open] and let it [Monitor.Look] once an interval:
//
//	m, err := monitor.Open(&monitor.Config{Log: source, Policy: policy, Keys: keys, Dir: "monitor"})
//	for {
//		report, err := m.Look(ctx) // err: it could not be looked; report.Faults: what was found
//		...
//	}
//
// Each look verifies the log's checkpoint, that it continues the one before and agrees with what others are
// shown, hashes every entry that is new and some that are not, and checks each record: its signature, and its
// place in the chain of its stream. It can also hold the log against the journal of a server, and against the
// promises that the server gave.
//
// For each fault there is a directory of files from which anybody can tell the same with the keys alone: see
// [Check]. The steps are in spec/monitor.md; comments name its sections.
package monitor
