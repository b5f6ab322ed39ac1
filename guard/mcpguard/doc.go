// Package mcpguard puts a guard in front of the capabilities of an MCP server made with the official SDK, in
// both generations of the protocol: with sessions up to 2025-11-25, and without from 2026-07-28.
//
// Call [Protect] last, after every other middleware has been added to the server, and give each tool the
// level that it needs beside its definition:
//
//	mcp.AddTool(server, mcpguard.MinLevel(tool, badge.LevelDomain), handler)
//	mcpguard.Protect(server, g)
//
// Over HTTP wrap the SDK's handler as well, so that what it rejects on its own leaves evidence too:
//
//	adapter := mcpguard.Protect(server, g)
//	http.Handle("/mcp", adapter.Handler(mcp.NewStreamableHTTPHandler(getServer, nil)))
//
// Who calls is learned from the one request that is being answered: its HTTP headers and its _meta. Sessions,
// contexts and what a client says about itself are never consulted. Lists are filtered to what the caller
// could use, and what a caller may not use answers as if it did not exist.
//
// The methods, their order and the shape of answers are in spec/guard.md; comments name its sections.
package mcpguard
