package trillianlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
)

// Defaults and limits.
const (
	DefaultInterval = time.Second
	DefaultTimeout  = 30 * time.Second

	minInterval   = 100 * time.Millisecond
	batchLeaves   = 1024
	batchBytes    = 3 << 20 // below the 4 MiB of a gRPC message
	readLeaves    = 256
	maxAnswer     = 32 << 20 // 256 entries of the largest size
	maxPending    = 1 << 16  // entries that no checkpoint covers
	maxPendingMem = 256 << 20
	maxHeld       = 64 << 20 // of full tiles, in memory
	maxCollected  = 1 << 20  // entries whose partial tiles are looked for at a checkpoint
	maxRedial     = 5 * time.Second
	lockName      = ".lock"
	firstName     = ".first" // the first entry, until the tree has it
	checkpoint    = "checkpoint"
)

// ErrClosed is the error of calls to a closed log.
var ErrClosed = errors.New("trillianlog: the log is closed")

// A Config describes a log. Server, Tree, Dir, StatePath and Signer are needed.
type Config struct {
	// Server is the address of Trillian's log server, HOST:PORT, or unix:PATH.
	Server string
	// TLS is how the server is met. Nil is without TLS, which is for loopback and unix sockets alone, unless
	// UnsafePlaintext says otherwise.
	TLS             *tls.Config
	UnsafePlaintext bool
	// Tree is the id of a tree of the type PREORDERED_LOG: see [CreateTree]; for a [Publisher], of the type LOG: see
	// [CreateSharedTree].
	Tree int64

	// Dir is the directory of tiles, served to readers. What is missing in it is made again from the database.
	Dir string
	// StatePath is the file that keeps the last checkpoint signed. It must lie outside Dir, and outside what is backed
	// up and restored together with the database.
	StatePath string
	// Signer signs the checkpoints; its name is the log's origin.
	Signer *translog.Signer

	// State is where the candidates who may sign for a log with several writers keep what was signed last; StatePath is
	// then what this one knows. Nil is the file at StatePath: the candidate that has it locked signs. A log with one
	// writer has no State.
	State State
	// Lease is how long a candidate that is not heard of stays the one who signs. 0 means [DefaultLease].
	Lease time.Duration

	// CheckpointInterval is the time between two checkpoints, 1 s by default, at least 100 ms.
	CheckpointInterval time.Duration
	// Timeout bounds each request to the server. 0 means [DefaultTimeout].
	Timeout time.Duration

	// Analyze is called when the log has grown to 1,000 entries and tenfold from there, to make the database look at its tables
	// anew: see README.md on the planner of PostgreSQL. Nil does nothing. Its error is told to Notice.
	Analyze func(context.Context) error
	// Notice hears of errors that are tried again. Nil hears nothing.
	Notice func(error)
}

func checked(cfg *Config) (*Config, error) {
	if cfg == nil {
		return nil, errors.New("trillianlog: no Config")
	}
	c := *cfg
	switch {
	case c.Server == "" || c.Tree <= 0:
		return nil, errors.New("trillianlog: Config needs the address of a Server and the id of a Tree")
	case c.Signer == nil || c.Dir == "" || c.StatePath == "":
		return nil, errors.New("trillianlog: Config needs a Signer, a Dir and a StatePath")
	case c.CheckpointInterval != 0 && c.CheckpointInterval < minInterval:
		return nil, fmt.Errorf("trillianlog: a CheckpointInterval of %v is less than %v", c.CheckpointInterval, minInterval)
	case c.Timeout < 0 || c.Lease < 0:
		return nil, errors.New("trillianlog: Timeout and Lease must not be negative")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("trillianlog: %w", err)
	}
	state, err := filepath.Abs(c.StatePath)
	if err != nil {
		return nil, fmt.Errorf("trillianlog: %w", err)
	}
	if strings.HasPrefix(state, dir+string(filepath.Separator)) {
		return nil, fmt.Errorf("trillianlog: StatePath %q lies in Dir: a copy that is restored would bring its own past along", c.StatePath)
	}
	c.Dir, c.StatePath = dir, state
	if c.CheckpointInterval == 0 {
		c.CheckpointInterval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Notice == nil {
		c.Notice = func(error) {}
	}
	return &c, nil
}

func (c *Config) stateOf() State {
	if c.State != nil {
		return c.State
	}
	return &fileState{path: c.StatePath}
}

// dial connects to the server, lazily.
func dial(c *Config) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	switch {
	case c.TLS != nil:
		creds = credentials.NewTLS(c.TLS)
	case !c.UnsafePlaintext && !local(c.Server):
		return nil, fmt.Errorf("trillianlog: %q is not on this machine: it needs TLS", c.Server)
	}
	conn, err := grpc.NewClient(c.Server, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{
			BaseDelay: minInterval, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRedial,
		}, MinConnectTimeout: maxRedial}))
	if err != nil {
		return nil, fmt.Errorf("trillianlog: %w", err)
	}
	return conn, nil
}

// local reports whether an address cannot be of another machine. Names are not looked up.
func local(server string) bool {
	if strings.HasPrefix(server, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(server)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// CreateTree makes a tree for one writer in the Trillian that c names, and returns its id for Config.Tree. Of c it needs
// Server and TLS. The name, of at most 20 bytes, is for people.
func CreateTree(ctx context.Context, c *Config, name string) (int64, error) {
	return createTree(ctx, c, name, trillian.TreeType_PREORDERED_LOG)
}

// CreateSharedTree is like [CreateTree], and makes a tree that several append to, for [OpenShared] and [OpenPublisher].
func CreateSharedTree(ctx context.Context, c *Config, name string) (int64, error) {
	return createTree(ctx, c, name, trillian.TreeType_LOG)
}

func createTree(ctx context.Context, c *Config, name string, kind trillian.TreeType) (int64, error) {
	conn, err := dial(c)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing is under way
	tree, err := trillian.NewTrillianAdminClient(conn).CreateTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState: trillian.TreeState_ACTIVE, TreeType: kind, DisplayName: name, MaxRootDuration: noRootDuration(),
	}}, grpc.WaitForReady(true))
	if err != nil {
		return 0, fmt.Errorf("trillianlog: make a tree: %w", err)
	}
	_, err = trillian.NewTrillianLogClient(conn).InitLog(ctx, &trillian.InitLogRequest{LogId: tree.TreeId})
	if err != nil {
		return 0, fmt.Errorf("trillianlog: begin tree %d: %w", tree.TreeId, err)
	}
	return tree.TreeId, nil
}

// IsShared asks the server whether the tree is one that several append to. Of c it needs Server, TLS and Tree.
func IsShared(ctx context.Context, c *Config) (bool, error) {
	asked := *c
	if asked.Timeout == 0 {
		asked.Timeout = DefaultTimeout
	}
	r, err := newRemote(&asked)
	if err != nil {
		return false, err
	}
	defer r.close()
	tree, err := r.describe(ctx)
	return tree.GetTreeType() == trillian.TreeType_LOG, err
}

// Create begins a log with one writer: it signs the empty tree and keeps it at StatePath. The tree must be empty. A
// Create that was interrupted can be repeated.
func Create(ctx context.Context, cfg *Config) error {
	c, err := checked(cfg)
	if err != nil {
		return err
	}
	if err := beginEmpty(ctx, c); err != nil {
		return err
	}
	_, err = signing.Begin(c.Signer, c.StatePath)
	return err
}

// beginEmpty makes the directories of a log, and refuses a tree that has entries, and a directory that has a log.
func beginEmpty(ctx context.Context, c *Config) error {
	for _, dir := range []string{c.Dir, filepath.Dir(c.StatePath)} {
		if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
			return fmt.Errorf("trillianlog: %w", err)
		}
	}
	r, err := newRemote(c)
	if err != nil {
		return err
	}
	defer r.close()
	root, err := r.root(ctx)
	if err != nil {
		return err
	}
	if root.Size > 0 {
		return fmt.Errorf("trillianlog: tree %d has %d entries: a log begins with an empty one", c.Tree, root.Size)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, checkpoint)); err == nil {
		return fmt.Errorf("trillianlog: there is a log in %q already", c.Dir)
	}
	return nil
}
