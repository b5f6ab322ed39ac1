// Package store keeps what an issuing authority knows in a database that several processes may share: accounts and
// their keys, agents, challenges, badges, revocations, domain validation, the states of the signing keys, and the
// entries that wait for the authority's log.
//
// Use [Open] first, then [Store.BindIssuer]. Every method is one transaction. A method that changes something takes
// an [Act], whose log entry becomes durable in the same transaction as the change: nothing happens unlogged, and
// [Store.ClaimOutbox] hands the entries out in the order that they have in the log, for ever.
//
// Times are kept in microseconds, in UTC. A zero time.Time means "not". Identifiers are made by the caller.
//
// # Errors
//
// A refusal is an [*Error] or a [*LimitError]: the transaction did not happen. Any other error is a failure of the
// storage, after which the caller must assume neither that the transaction happened nor that it did not: a badge whose
// Issue failed is thrown away.
//
// # Backup
//
// SQLite: copy with `sqlite3 PATH ".backup COPY"` or `VACUUM INTO`, never with cp while a process has it open, since
// committed transactions may still be in the -wal file. PostgreSQL: pg_dump, or base backups with WAL archiving; only
// the latter lose nothing that was acknowledged. Keep the log's directory apart, and the signing keys elsewhere. A
// restored database that is older than the log is noticed by [Store.ClaimOutbox] (ErrConflict) and must not be shipped
// from: its positions would be given to other entries. It has also forgotten revocations: mirrors that hold a later
// list refuse the next one, as they should (badge.RevocationList.Follows). After such a loss, withdraw the signing
// key and begin with a new issuer or a new log.
package store
