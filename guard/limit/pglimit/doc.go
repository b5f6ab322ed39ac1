// Package pglimit is the limiter of package guard/limit for several nodes that answer for one server: they count together,
// in a PostgreSQL database of their own (spec/guard.md section 5.3). Use [Open].
//
// A call costs one round trip to the database, whose clock is the only one that counts, and one more at its end if calls
// under way are limited. These are counted by leases, which the node that runs a call puts off; those of a node that died
// end by themselves. When the database does not answer in time, the limiter says that it cannot tell, and the guard refuses
// the call: no call goes uncounted.
package pglimit
