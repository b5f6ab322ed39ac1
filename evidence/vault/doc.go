// Package vault keeps the keys that private parts of evidence are encrypted
// with: the salts, badges and call proofs that a journal has beside its records.
//
// Use [Open] with a master key ([NewMasterKey], [ParseMasterKey]), and give the
// [Vault] to a ledger as its Vault. There is a key for each day of records. To
// erase, destroy the keys of the days before some time ([Vault.EraseBefore]):
// the journal and the log stay whole and verify as before, and nobody can open
// what the records commit to any more.
//
// A vault is a directory. Keep it apart from the journal, and out of its
// backups: a copy of a key that was destroyed brings back what was erased.
// spec/journal.md section 10 is about its files.
package vault
