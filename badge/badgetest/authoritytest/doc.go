// Package authoritytest has a whole authority in the process of a test: the
// one of package badge/authority, on SQLite in a temporary directory, behind
// HTTPS on a loopback port. Use [New]:
//
//	a := authoritytest.New(t)
//	ada := a.NewAgent("ada")
//	r, err := client.NewRequester(a.RequesterConfig(ada))
//	b, err := r.Request(ctx)
//
// An [Authority] fails in any way on demand: it is unreachable, slow, limits
// the rate, answers with nonsense, publishes other keys than it signs with,
// gives out old lists, revokes, disables, and rotates and withdraws its keys.
//
// Tests that need no authority but badges alone use package badge/badgetest,
// which brings no database along.
package authoritytest
