// Package evidence makes and checks the records of what a guard decided and what came of it.
//
// A server opens a ledger with [Open] and hands its guard the [Ledger]: each [Draft] becomes a [Record] that
// is numbered, chained to the one before it, signed, and durable before [Ledger.Record] returns; an outcome may
// be left to the ledger instead ([Ledger.Enqueue]). Whoever checks records starts with [ParseEntry] and
// [UnverifiedEntry.Verify] for one entry, and with [VerifyChain] for the entries of a stream; package translog
// then shows that an entry is in the log.
//
// No record holds a parameter or a result. It holds commitments to them ([Commit]) under a random salt that
// stays with the server ([Private]), so that one argument can be disclosed later ([Disclose]) and none can be
// guessed before. A [Promise] is what a server hands out with an answer; it is not a proof of inclusion.
//
// The formats are in spec/evidence.md.
package evidence
