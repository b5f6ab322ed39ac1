package pin

import "encoding/json"

// Digest returns the digest of a list of tools, a JSON array: "sha256:" and
// unpadded base64url. It covers everything that each tool says of itself, and
// not the order of the tools. Lists with a name twice are refused.
func Digest(tools json.RawMessage) (string, error) { return "", nil }

// Diff says in lines of text how one list of tools differs from another. The
// lines are safe to print whatever the lists hold, and bounded.
func Diff(approved, offered json.RawMessage) (string, error) { return "", nil }

// CanonicalEndpoint returns the one spelling of an endpoint that pins have.
func CanonicalEndpoint(endpoint string) (string, error) { return "", nil }

// LaunchEndpoint returns the endpoint of a server that is launched by a command
// line: "stdio:" and its words, joined by plus signs.
func LaunchEndpoint(argv []string) (string, error) { return "", nil }
