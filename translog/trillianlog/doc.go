// Package trillianlog keeps a transparency log in Trillian, for logs that have outgrown one disk. Trillian keeps the
// entries, in a database that is replicated and backed up like others; this package decides what is signed, and
// publishes the same tiles and checkpoints as the embedded engine, so that readers cannot tell the two apart.
//
// Make a tree with [CreateTree] and the log with [Create], once, then [Open] it at each start:
//
//	log, err := trillianlog.Open(ctx, &trillianlog.Config{
//		Server: "trillian.internal:8090", TLS: tlsConfig, Tree: id,
//		Dir: "tiles", StatePath: "trusted", Signer: signer,
//	})
//
// Serve Config.Dir to readers with tlogclient.Handler, or copy it to a store of objects. README.md beside this file
// says how the servers and the database are set up.
//
// For a log that several append to, make a tree with [CreateSharedTree] and the log with [CreateShared]; each who appends
// has an [OpenShared], and one or several run an [OpenPublisher], of which one signs at a time.
//
// # What it relies on
//
// Trillian's log roots are not signed, and not believed: the package computes the tree from the entries, compares, and
// signs no checkpoint that does not continue the last one it signed, which it keeps at Config.StatePath, away from
// the database and from the tiles. A database that was restored from a backup, or that holds other entries, is
// refused with a translog.RejectedError (CodeRolledBack, CodeForked, CodeConsistencyInvalid), and a Publisher that finds
// so ends signing for all others ([CodeHalted]), until [Resume]. While a Log is open, no tree
// is signed that has more entries than Trillian was given, or another one in the place of what was sent. A Publisher
// cannot know what others sent: they look whether it came into the log.
//
// A [Log] has a tree of the type PREORDERED_LOG: one at a time appends to it and signs for it, the one whose configuration says so.
// An entry is named by its index and content, so that one that is sent again, after an answer that was lost, is there
// once. A [Shared] has one of the type LOG, where an entry is named by an identity that its writer chooses.
package trillianlog
