// Package authority issues trust badges: it registers agents and servers under accounts, issues badges for account keys
// (assurance 0) and for proofs of possession (assurance 1), tells and signs what is revoked, hosts DID documents, and
// writes every act to a transparency log.
//
// Use [New] first, serve [Authority.Handler] over TLS, and run [Authority.Run] beside it:
//
//	a, err := authority.New(ctx, &authority.Config{Issuer: "https://registry.example", ...})
//	go a.Run(ctx)
//	err = server.Serve(tls, a.Handler())
//
// Several processes may share one PostgreSQL database; each keeps what must be exact in its transactions. The rules are
// those of spec/issuance.md, spec/issuance-log.md and spec/domain-validation.md. Package badge/client asks an authority,
// and badge/badgetest has one for tests.
package authority
