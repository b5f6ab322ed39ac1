// Package authzen asks a decision service: one that speaks the AuthZEN Authorization API 1.0, or the Open Policy Agent
// by its own API.
//
// Use [New], and give a guard its [Client] together with a local policy:
//
//	service, err := authzen.New(&authzen.Config{
//		Endpoint:  "https://pdp.example.com",
//		TokenFile: "/run/secrets/pdp",
//		MinLevel:  badge.LevelRegistered,
//	})
//	...
//	cfg.Policy = authzen.All(local, service)
//
// What the service does not answer in time, or not exactly as it should, is no answer: the guard then refuses, and
// records that it could not be told. What is sent and what is understood is in spec/decision-services.md.
package authzen
