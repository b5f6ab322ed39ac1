package trillianlog_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
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
	shared  bool                      // the tree is one that several append to
	lags    func(conn string) bool    // on this connection the tree is one of half the entries; nil for none
}

// serve returns the address of the server.
func (s *swapper) serve(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer()
	trillian.RegisterTrillianLogServer(server, s)
	trillian.RegisterTrillianAdminServer(server, s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return ln.Addr().String()
}

// put has the tree hold these entries from an index on, and no others behind them.
func (s *swapper) put(from int, entries ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries[:from:from], entries...)
}

func (s *swapper) GetTree(context.Context, *trillian.GetTreeRequest) (*trillian.Tree, error) {
	kind := trillian.TreeType_PREORDERED_LOG
	if s.shared {
		kind = trillian.TreeType_LOG
	}
	return &trillian.Tree{TreeId: 1, TreeType: kind, TreeState: trillian.TreeState_ACTIVE}, nil
}

func (s *swapper) GetLatestSignedLogRoot(ctx context.Context, _ *trillian.GetLatestSignedLogRootRequest) (*trillian.GetLatestSignedLogRootResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.entries
	if from, ok := peer.FromContext(ctx); ok && s.lags != nil && s.lags(from.Addr.String()) {
		entries = entries[:len(entries)/2]
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, e := range entries {
		leaf := translog.LeafHash(e)
		if err := tree.Append(leaf[:], nil); err != nil {
			return nil, err
		}
	}
	root := types.LogRootV1{TreeSize: uint64(len(entries)), RootHash: rfc6962.DefaultHasher.EmptyRoot()}
	if len(entries) > 0 {
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
	cfg := &trillianlog.Config{
		Server: s.serve(t), Tree: 1, Dir: t.TempDir(), StatePath: t.TempDir() + "/state", Signer: newSigner(t),
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

// A Trillian that has another first entry than it was given gets no signature, whether its tree has it at the start or only
// when the entry is sent again.
func TestSwappedFirst(t *testing.T) {
	for name, begun := range map[string][][]byte{"in the tree": {[]byte("another")}, "sent again": nil} {
		t.Run(name, func(t *testing.T) {
			s := &swapper{}
			cfg := &trillianlog.Config{
				Server: s.serve(t), Tree: 1, Dir: t.TempDir(), StatePath: t.TempDir() + "/state", Signer: newSigner(t),
				CheckpointInterval: 100 * time.Millisecond,
			}
			if err := trillianlog.Create(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(cfg.Dir, ".first"), []byte("entry 0"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.swap = func([]byte) []byte { return []byte("another") }
			s.put(0, begun...)
			l, err := trillianlog.Open(t.Context(), cfg)
			if err == nil {
				closeLogAnyhow(l)
			}
			if translog.CodeOf(err) != translog.CodeForked {
				t.Errorf("opened: %v", err)
			}
			s.mu.Lock()
			s.swap = nil
			s.mu.Unlock()
			s.put(0, numbered(0, len(begun))...)
			l = open(t, cfg) // the database has what it was given
			mustAppend(t, l, numbered(1, 2))
			if _, err := l.AwaitPublished(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			closeLogAnyhow(l)
			whole(t, cfg, 3)
		})
	}
}

// One connection on which the tree is an old one, as a replica of the database has it, is no verdict; a tree that
// stays old is one for the one writer; publishers wait for it.
func TestLaggingReplica(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%t", shared), func(t *testing.T) {
			s, lagging := &swapper{shared: shared}, &laggard{}
			cfg := &trillianlog.Config{
				Server: s.serve(t), Tree: 1, Dir: filepath.Join(t.TempDir(), "tiles"), StatePath: filepath.Join(t.TempDir(), "trusted"),
				Signer: newSigner(t), CheckpointInterval: 100 * time.Millisecond, Lease: time.Second,
			}
			create := trillianlog.Create
			if shared {
				create = trillianlog.CreateShared
			}
			if err := create(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			run := func(from, n int) error { // appends entries, and awaits their checkpoint
				if shared {
					s.put(from, numbered(from, n)...)
					_, stop := publish(t, cfg)
					awaitShown(t, cfg, from+n)
					return stop()
				}
				l, err := trillianlog.Open(t.Context(), cfg)
				if err != nil {
					return err
				}
				defer closeLogAnyhow(l)
				mustAppend(t, l, numbered(from, n))
				_, err = l.AwaitPublished(t.Context(), uint64(from+n-1))
				return err
			}
			if err := run(0, 10); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			s.lags = lagging.lags
			s.mu.Unlock()
			for round := range 2 {
				lagging.begin(false)
				if err := run(10+round*5, 5); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if lagging.count() == 0 {
					t.Errorf("round %d: no connection lagged", round)
				}
			}
			whole(t, cfg, 20)
			lagging.begin(true)
			if !shared {
				if err := run(20, 1); translog.CodeOf(err) != translog.CodeRolledBack {
					t.Errorf("every connection has an old tree: %v", err)
				}
				return
			}
			_, stop := publish(t, cfg)
			for began := time.Now(); lagging.count() < 12 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
			}
			s.mu.Lock()
			s.lags = nil
			s.mu.Unlock()
			s.put(20, numbered(20, 5)...)
			awaitShown(t, cfg, 25)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A laggard is the one connection, or all, on which an old tree is told of.
type laggard struct {
	mu   sync.Mutex
	all  bool
	conn string // empty: the next one
	n    int    // how often
}

func (l *laggard) begin(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.conn, l.n = all, "", 0
}

func (l *laggard) lags(conn string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == "" {
		l.conn = conn
	}
	if !l.all && conn != l.conn {
		return false
	}
	l.n++
	return true
}

func (l *laggard) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}
