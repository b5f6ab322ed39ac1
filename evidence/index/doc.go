// Package index finds records in a journal of evidence by time, caller, target, decision, reason, rule, tenant, kind and
// id, without reading all of it.
//
// Use [Open] on the directory of a journal, and [Index.Find] with a [Query]. [Scan] answers the same by reading the whole
// journal.
//
// An index is derived: it is brought up to date whenever it is opened, made again where it is missing, damaged or of
// another journal, and never believed about what a record says. Each record that it finds is read from the journal and
// held against the query again. What it cannot protect against is somebody who writes to its files so that records are
// not found; [Scan] needs none of them. spec/evidence-index.md says how it is made.
package index
