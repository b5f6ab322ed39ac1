package trillianlog

// For tests that speak to the server themselves.
var (
	Identity       = identity
	NoRootDuration = noRootDuration
	ParseRoot      = parseRoot
)
