package trillianlog_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// A swapper is a Trillian that keeps what it likes in the place of what it is given, and acknowledges the latter.
type swapper struct {
	trillian.UnimplementedTrillianLogServer
	trillian.UnimplementedTrillianAdminServer

	mu      sync.Mutex
	entries [][]byte
	swap    func(entry []byte) []byte // nil for none
	hold    time.Duration             // before the answer, when all is in the tree already
}

func (s *swapper) GetTree(context.Context, *trillian.GetTreeRequest) (*trillian.Tree, error) {
	return &trillian.Tree{TreeId: 1, TreeType: trillian.TreeType_PREORDERED_LOG, TreeState: trillian.TreeState_ACTIVE}, nil
}

func (s *swapper) GetLatestSignedLogRoot(context.Context, *trillian.GetLatestSignedLogRootRequest) (*trillian.GetLatestSignedLogRootResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, e := range s.entries {
		leaf := translog.LeafHash(e)
		if err := tree.Append(leaf[:], nil); err != nil {
			return nil, err
		}
	}
	root := types.LogRootV1{TreeSize: uint64(len(s.entries)), RootHash: rfc6962.DefaultHasher.EmptyRoot()}
	if len(s.entries) > 0 {
		hash, err := tree.GetRootHash(nil)
		if err != nil {
			return nil, err
		}
		root.RootHash = hash
	}
	text, err := root.MarshalBinary()
	return &trillian.GetLatestSignedLogRootResponse{SignedLogRoot: &trillian.SignedLogRoot{LogRoot: text}}, err
}

func (s *swapper) AddSequencedLeaves(_ context.Context, r *trillian.AddSequencedLeavesRequest) (*trillian.AddSequencedLeavesResponse, error) {
	s.mu.Lock()
	out := &trillian.AddSequencedLeavesResponse{}
	for _, l := range r.GetLeaves() {
		if int(l.GetLeafIndex()) == len(s.entries) {
			entry := l.GetLeafValue()
			if s.swap != nil {
				entry = s.swap(entry)
			}
			s.entries = append(s.entries, entry)
		}
		out.Results = append(out.Results, &trillian.QueuedLogLeaf{Leaf: l, Status: status.New(codes.OK, "").Proto()})
	}
	s.mu.Unlock()
	time.Sleep(s.hold)
	return out, nil
}

func (s *swapper) GetLeavesByRange(_ context.Context, r *trillian.GetLeavesByRangeRequest) (*trillian.GetLeavesByRangeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &trillian.GetLeavesByRangeResponse{}
	for i := r.GetStartIndex(); i < min(r.GetStartIndex()+r.GetCount(), int64(len(s.entries))); i++ {
		out.Leaves = append(out.Leaves, &trillian.LogLeaf{LeafIndex: i, LeafValue: s.entries[i]})
	}
	return out, nil
}

// A Trillian that puts another entry in the place of one that it acknowledges later gets no signature for its tree.
func TestSwappedInFlight(t *testing.T) {
	s := &swapper{}
	server := grpc.NewServer()
	trillian.RegisterTrillianLogServer(server, s)
	trillian.RegisterTrillianAdminServer(server, s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	cfg := &trillianlog.Config{
		Server: ln.Addr().String(), Tree: 1, Dir: t.TempDir(), StatePath: t.TempDir() + "/state", Signer: newSigner(t),
		CheckpointInterval: 100 * time.Millisecond,
	}
	if err := trillianlog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l := open(t, cfg)
	defer closeLogAnyhow(l)
	mustAppend(t, l, numbered(0, 3))
	if _, err := l.AwaitPublished(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.swap, s.hold = func([]byte) []byte { return []byte("another") }, time.Second // ten checkpoints
	s.mu.Unlock()
	if _, err := l.Append(t.Context(), numbered(3, 1)); err == nil {
		_, err = l.AwaitPublished(t.Context(), 3)
		if code := translog.CodeOf(err); code != translog.CodeConsistencyInvalid {
			t.Errorf("published: %v", err)
		}
	} else if translog.CodeOf(err) == "" {
		t.Error(err)
	}
	whole(t, cfg, 3)
}
