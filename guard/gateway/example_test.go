package gateway_test

import (
	"context"
	"fmt"
	"io"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/gateway"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// A server that nobody changes, and a client, with a gateway between them. In
// earnest the server is a process that gateway.Start launched, and the guard has
// verifiers from packages badge and badge/pop and a ledger from package evidence.
func Example() {
	ctx := context.Background()
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	for _, name := range []string{"read_file", "delete_file"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
		})
	}
	rules, err := policy.Parse([]byte("version: 1\nrules:\n  - {id: read, match: {tool: \"read_*\"}, anonymous: true, decision: allow}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := guard.New(&guard.Config{Policy: rules, Evidence: guardtest.NewRecorder()})
	if err != nil {
		fmt.Println(err)
		return
	}
	between, err := gateway.New(&gateway.Config{Guard: g})
	if err != nil {
		fmt.Println(err)
		return
	}

	clientSays, toGateway := io.Pipe()
	fromGateway, clientHears := io.Pipe()
	serverSays, fromServer := io.Pipe()
	toServer, serverHears := io.Pipe()
	go server.Run(ctx, &mcp.IOTransport{Reader: toServer, Writer: fromServer})
	go between.Run(ctx, gateway.Pipe{R: clientSays, W: clientHears}, gateway.Pipe{R: serverSays, W: serverHears})

	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).
		Connect(ctx, &mcp.IOTransport{Reader: fromGateway, Writer: toGateway}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tool := range list.Tools {
		fmt.Println("listed:", tool.Name)
	}
	for _, name := range []string{"read_file", "delete_file"} {
		_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: map[string]any{}})
		fmt.Println(name, "refused:", err != nil)
	}
	// Output:
	// listed: read_file
	// read_file refused: false
	// delete_file refused: true
}
