// Package badge verifies and signs trust badges: short-lived signed statements that a key belongs to an
// agent or server, and how well an issuer knows it.
//
// To check badges, make one [Verifier] and call [Verifier.Verify] for every call that presents one; it is
// safe for concurrent use and caches signatures. The error is the verdict: nil and a [*Badge] when the badge
// holds, a [*RejectedError] when it was examined and refused, and an [*UndeterminedError] when it could not
// be told, for instance because its revocation status is out of reach. Callers refuse both.
//
//	v, err := badge.NewVerifier(&badge.Config{
//		Issuers:  []string{"https://registry.example"},
//		Keys:     keys,   // see package badge/client
//		Status:   status, // see package badge/client
//		Audience: []string{"https://mcp.example.com"},
//	})
//	b, err := v.Verify(ctx, token)
//
// To sign badges, use [Issue] with an issuer's key, or [SelfSign] for level 0. [Inspect] shows what a token
// says without believing it.
//
// A badge alone does not show that its bearer holds its key: see package badge/pop.
//
// The format and the rules are in spec/badge.md; comments name its sections.
package badge
