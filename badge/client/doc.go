// Package client asks the issuers of badges: for their keys, and whether a
// badge still stands.
//
// Use [New] with the issuers to trust, and give the [Client] to a
// [badge.Verifier] as its KeySource and its StatusSource:
//
//	c, err := client.New(&client.Config{Issuers: issuers})
//	v, err := badge.NewVerifier(&badge.Config{Issuers: issuers, Keys: c, Status: c})
//
// A Client asks nobody but the issuers it was given. It reaches them by the
// rules of spec/did.md sections 5 and 6: over HTTPS, at public addresses,
// without redirects, with limits on time and size.
//
// For verification without a network, use [FileKeys].
package client
