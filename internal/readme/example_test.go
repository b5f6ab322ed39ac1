package readme

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/translog"
)

// A service is what somebody who guards a server has already.
type service struct {
	self   did.DID
	badges *badge.Verifier
	proofs *pop.Verifier
	ledger *evidence.Ledger
	rules  *policy.Policy
	server *mcp.Server
	tool   *mcp.Tool
}

func (s *service) protect(handler mcp.ToolHandlerFor[struct{}, any]) error {
	// #region guard
	g, err := guard.New(&guard.Config{
		Server: s.self, Badges: s.badges, Proofs: s.proofs, Policy: s.rules, Evidence: s.ledger,
	})
	if err != nil {
		return err
	}
	mcp.AddTool(s.server, mcpguard.MinLevel(s.tool, badge.LevelDomain), handler)
	mcpguard.Protect(s.server, g) // last: outermost
	return nil
	// #endregion
}

func connect(ctx context.Context, cfg *serververify.Config, client *mcp.Client, url string) (*mcp.ClientSession, error) {
	// #region connect
	verifier, err := serververify.New(cfg) // whom do I trust, from which level on?
	if err != nil {
		return nil, err
	}
	server, err := verifier.Verify(ctx, url) // the error is the verdict
	if err != nil {
		return nil, err
	}
	return client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: server.Endpoint, HTTPClient: server.Client()}, nil)
	// #endregion
}

func check(policyFile, entry, proofFile []byte) (uint64, error) {
	// #region verify
	policy, err := translog.ParsePolicy(policyFile) // the keys of the log and its witnesses
	if err != nil {
		return 0, err
	}
	proof, err := translog.ParseProof(proofFile)
	if err != nil {
		return 0, err
	}
	inclusion, err := policy.Verify(entry, proof) // offline
	// #endregion
	if err != nil {
		return 0, err
	}
	return inclusion.Index(), nil
}

var _ = []any{(*service).protect, connect, check}
