// Package httpguard puts a guard in front of a plain HTTP API. Use [Protect] on a server, and [Transport] to call one:
//
//	mux := http.NewServeMux()
//	mux.HandleFunc("POST /payments", pay)
//	handler, err := httpguard.Protect(mux, g, &httpguard.Options{
//		Routes: []httpguard.Route{{Pattern: "POST /payments", Tool: "pay", Level: badge.LevelDomain}},
//	})
//
// A table says which capability each pattern of the mux is. A route that is not in the table cannot be reached. The
// pattern that was judged is the one that the mux runs: the guard asks the mux itself, and refuses requests that something
// behind it could read in another way.
//
// What of a request a policy sees, a call proof covers and a record commits to, and how refusals are answered, is in
// spec/guard.md section 13. Header fields are not among it.
package httpguard
