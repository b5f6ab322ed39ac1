// Package tlogclient reads a transparency log through its tiles (C2SP
// tlog-tiles), from a directory or over HTTP, and serves a directory of them.
//
// Make a [Client] from a [Source] and a policy of trust; all that it returns
// has been verified against that policy first, so the source may lie:
//
//	c := tlogclient.New(tlogclient.Dir("/var/lib/log"), policy)
//	cp, err := c.Checkpoint(ctx)
//	proof, err := c.ProveEntry(ctx, cp, entry, 0)
package tlogclient

import (
	"context"
	"errors"
	"net/http"

	"github.com/touchmark-dev/touchmark/translog"
)

// A Source fetches a log's static resources. [Dir] and [HTTP] are the two we
// have. A partial of zero asks for the full tile or bundle. A resource that is
// not there is an error that is fs.ErrNotExist; falling back from a partial to
// the full resource is the client's business.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error)
	Entries(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// A Client reads one log. It is safe for concurrent use.
type Client struct {
	source Source
	policy *translog.Policy
}

// New returns a client that believes policy, not source.
func New(source Source, policy *translog.Policy) *Client {
	return &Client{source: source, policy: policy}
}

// Checkpoint fetches the log's latest checkpoint.
func (c *Client) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return nil, errors.New("tlogclient: not yet")
}

// Entry returns the entry at index of cp's tree, proven to be there.
func (c *Client) Entry(ctx context.Context, cp *translog.Checkpoint, index uint64) ([]byte, error) {
	return nil, errors.New("tlogclient: not yet")
}

// Prove builds the proof that the leaf is at index of cp's tree.
func (c *Client) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error) {
	return nil, errors.New("tlogclient: not yet")
}

// ProveEntry finds the entry in cp's tree, looking from index hint on and then
// before it, and builds its proof. The error is [ErrNotFound] when the tree
// does not hold the entry.
func (c *Client) ProveEntry(ctx context.Context, cp *translog.Checkpoint, entry []byte, hint uint64) (*translog.Proof, error) {
	return nil, errors.New("tlogclient: not yet")
}

// Consistency builds the proof that newer's tree begins with older's.
func (c *Client) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	return nil, errors.New("tlogclient: not yet")
}

// ErrNotFound says that a tree does not hold an entry.
var ErrNotFound = errors.New("tlogclient: no such entry in the tree")

// Dir reads a log from the directory in which an engine keeps it.
func Dir(dir string) Source { return nil }

// HTTPConfig says where and how to read a log over HTTP.
type HTTPConfig struct {
	// Prefix is the log's URL prefix, http or https, without which nothing works.
	Prefix string
	// Client makes the requests; nil means one with a timeout of 30 s that
	// follows no redirect.
	Client *http.Client
}

// HTTP reads a log over HTTP.
func HTTP(cfg *HTTPConfig) (Source, error) { return nil, errors.New("tlogclient: not yet") }

// Handler serves the log in dir: the checkpoint, the tiles, the entry bundles,
// and nothing else that lies there.
func Handler(dir string) http.Handler { return http.NotFoundHandler() }
