// Package pin remembers servers: which key a server had when somebody trusted
// it, and which tools it offered then.
//
// Open a known-servers file with [Open] and give the [Store] to
// serververify.Config.Admit, so that a server is compared with its pin before
// anything is sent to it, and to mcpverify.Client.Tools, so that its tool
// definitions are. A server that was launched is where its command line is:
// package mcpverify says so by itself, and elsewhere [Store.At] does, with what
// [LaunchEndpoint] makes of the line.
//
//	pins, err := pin.Open("known-servers", &pin.Config{})
//	v, err := serververify.New(&serververify.Config{..., Admit: []serververify.Admission{pins}})
//
// The zero Config refuses servers that nobody has pinned. The file, and what
// counts as a mismatch, are in spec/pins.md.
package pin
