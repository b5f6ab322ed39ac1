// Package registry reads signed lists of approved servers, and refuses servers
// and tools that are not in them.
//
// [Open] a list and give the [Registry] to serververify.Config.Admit. [Sign]
// makes a list, [Verify] judges one. The format, and what a client does with
// it, are in spec/registry.md.
package registry
