// Package client asks the issuers of badges: for badges, for their keys, and
// whether a badge still stands.
//
// To check badges, use [New] with the issuers to trust, and give the [Client]
// to a [badge.Verifier] as its KeySource and its StatusSource:
//
//	c, err := client.New(&client.Config{Issuers: issuers})
//	v, err := badge.NewVerifier(&badge.Config{Issuers: issuers, Keys: c, Status: c})
//
// [NewRevocationSync] is a StatusSource that does not ask about each badge, but
// follows the issuer's signed list, which may come from mirrors. For
// verification without a network, use [FileKeys].
//
// To have a badge, use [NewRequester], and [NewKeeper] to have a fresh one at
// any time. Who controls a domain and has no account first gets a grant, by
// [NewDomains].
//
// Nobody is asked but the issuers and mirrors that were given. They are reached
// by the rules of spec/did.md sections 5 and 6: over HTTPS, at public
// addresses, without redirects, with limits on time and size. What they answer
// is checked before it is used.
package client
