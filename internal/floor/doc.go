// Package floor has the bare operations that benchmarks compare with: one
// Ed25519 signature or verification ([Ed25519]), records of a size made durable
// by group commit ([GroupCommit]), entries appended to Tessera ([TesseraFeeder]).
//
// A floor does what physics and the library ask for and nothing else: no
// checksum, no framing, no recovery, no limits. It is the denominator of every
// ratio in this module, so nobody tunes one to make a ratio look better, and a
// benchmark runs it in the same process, at the same concurrency and with the
// same number of bytes as what it measures.
package floor
