// Package sqlstore opens the database of a component, embedded (SQLite) or shared by several nodes (PostgreSQL), with
// the settings under which a committed transaction survives the loss of power, brings its schema up to date, and runs
// transactions on it. Use [Open], then [DB.Tx] and [DB.View], or [DB.Exec], [DB.Row] and [DB.Rows] for single
// statements.
//
// # One SQL for both
//
// Placeholders are `?`. A row that a transaction must find unchanged at its end is read with a clause FOR UPDATE, FOR
// NO KEY UPDATE or FOR SHARE, at the end of the query: PostgreSQL locks the row; on SQLite the clause is dropped,
// because a transaction that may write has the database for itself from its beginning. [Tx.Lock] locks what has no row.
// Times are integers ([Micros]). Migrations are written with {{serial}}, a growing integer key that the database
// assigns, and {{bytes}}, a column of bytes.
//
// # Durability
//
// SQLite runs in WAL mode with synchronous=FULL: each commit is synced. One connection of a process writes and
// several read; transactions that wait for the writer are committed together, with one sync. Processes on one machine
// can share the file, on a local file system. PostgreSQL must run with fsync=on and synchronous_commit other than off.
// Open asks the database what is in force, and refuses what is not enough.
package sqlstore
