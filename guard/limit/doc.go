// Package limit enforces the constraints of policies that count calls: rate_per_minute, max_concurrent and max_retries
// (spec/guard.md section 5.3). Use [New] for a server of one process, as the Limiter of a guard.Config:
//
//	guard.New(&guard.Config{Limiter: limit.New(nil), ...})
//
// Several nodes that answer for one server share their counts with package guard/limit/pglimit.
//
// What a call needs is taken at once, or nothing is. Memory is bounded. An entry that still counts is never forgotten to
// its caller's profit: when there is no room, the caller with the most entries gives some up, and is refused new ones
// until what it gave up would have stopped to count.
package limit
