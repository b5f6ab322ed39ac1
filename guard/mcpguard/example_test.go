package mcpguard_test

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

func Example() {
	ctx := context.Background()
	server := mcp.NewServer(&mcp.Implementation{Name: "bank", Version: "1"}, nil)
	tool := &mcp.Tool{Name: "transfer", Description: "Moves money"}
	mcp.AddTool(server, mcpguard.MinLevel(tool, badge.LevelOrganization),
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, "moved", nil
		})

	// A server in earnest has verifiers from packages badge and badge/pop here, and a ledger from package
	// evidence.
	g, err := guard.New(&guard.Config{Policy: closed{}, Evidence: guardtest.NewRecorder()})
	if err != nil {
		fmt.Println(err)
		return
	}
	mcpguard.Protect(server, g)

	ours, theirs := mcp.NewInMemoryTransports()
	if _, err := server.Connect(ctx, ours, nil); err != nil {
		fmt.Println(err)
		return
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).Connect(ctx, theirs, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	list, err := client.ListTools(ctx, nil)
	fmt.Println(len(list.Tools), err)
	_, err = client.CallTool(ctx, &mcp.CallToolParams{Name: "transfer", Arguments: map[string]any{}})
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// calling "tools/call": TOOL_AUTH_MISSING: this needs a badge; present one
}

// closed is a policy without rules: the annotations beside the tools decide.
type closed struct{}

func (closed) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{NoRule: true}, nil
}
