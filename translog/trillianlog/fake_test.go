package trillianlog_test

import (
	"context"
	"net"
	"testing"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A fakeLog is a log server with a tree of the type LOG whose answers the test makes up.
type fakeLog struct {
	trillian.UnimplementedTrillianLogServer
	trillian.UnimplementedTrillianAdminServer
	queue func(*trillian.QueueLeafRequest) (*trillian.QueueLeafResponse, error)
}

func (f *fakeLog) GetTree(context.Context, *trillian.GetTreeRequest) (*trillian.Tree, error) {
	return &trillian.Tree{TreeId: 1, TreeType: trillian.TreeType_LOG, TreeState: trillian.TreeState_ACTIVE}, nil
}

func (f *fakeLog) QueueLeaf(_ context.Context, r *trillian.QueueLeafRequest) (*trillian.QueueLeafResponse, error) {
	return f.queue(r)
}

// serve returns the address of the server.
func (f *fakeLog) serve(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer()
	trillian.RegisterTrillianLogServer(server, f)
	trillian.RegisterTrillianAdminServer(server, f)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return ln.Addr().String()
}

// queued is an answer about an entry, with what the server has under its hash.
func queued(code codes.Code, there string) *trillian.QueueLeafResponse {
	return &trillian.QueueLeafResponse{QueuedLeaf: &trillian.QueuedLogLeaf{
		Leaf: &trillian.LogLeaf{LeafValue: []byte(there)}, Status: status.New(code, "as the test says").Proto(),
	}}
}
