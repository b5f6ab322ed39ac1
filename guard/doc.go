// Package guard decides whether a caller may use a capability of a server, and leaves evidence either way.
//
// For an MCP server use package guard/mcpguard, which needs nothing but a [Guard] made with [New]. For plain
// Go functions use [Do] and [Wrap]. Adapters for other protocols call [Guard.Check] and [Grant.Finish]
// around what they run, and [Guard.List] for what they list:
//
//	grant, err := g.Check(ctx, &guard.Request{ ... })
//	if err != nil {
//		return refuse(err) // *DeniedError, or an error that means it could not be told; both refuse
//	}
//	outcome := grant.Run(ctx, func(ctx context.Context) guard.Outcome { ... })
//	err = grant.Finish(ctx, outcome) // an error withholds the result
//
// Check identifies the caller from what this one request brings, asks the policy, makes the record of the
// decision durable and only then grants. The error is the verdict. Whatever cannot be decided or recorded is
// refused: no record, no run. Constraints of the policy are enforced by Run, by Finish and by a [Limiter], or the request
// is refused.
//
// The order of the checks, the codes and the defaults are in spec/guard.md; comments name its sections.
package guard
