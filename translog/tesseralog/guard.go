package tesseralog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A guard is the only way to the log's key. Tessera signs whatever tree it
// finds in its directory; the guard signs one only when it continues the tree
// that was signed last, as the tiles on the disk prove.
type guard struct {
	signer *translog.Signer
	policy *translog.Policy
	state  string // path
	client *tlogclient.Client

	mu      sync.Mutex
	trusted *translog.Checkpoint // what the state file holds
	open    bool                 // may sign
	refused error                // the verdict that ended all signing
}

var _ note.Signer = (*guard)(nil)

var errNotOpen = errors.New("tesseralog: the log is not open for signing")

// Name returns the log's origin.
func (g *guard) Name() string { return g.signer.Name() }

// KeyHash returns the identifier of the log's key.
func (g *guard) KeyHash() uint32 { return g.signer.KeyHash() }

// Sign signs the text of a checkpoint. Nobody sees the signature before the
// state file holds the checkpoint.
func (g *guard) Sign(text []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused != nil {
		return nil, g.refused
	}
	if !g.open {
		return nil, errNotOpen
	}
	tree, err := parseTree(text, g.signer.Name())
	if err != nil {
		return nil, err
	}
	if err := g.check(tree); err != nil {
		return nil, g.verdict(err, text)
	}
	sig, err := g.signer.Sign(text)
	if err != nil {
		return nil, fmt.Errorf("tesseralog: sign: %w", err)
	}
	cp, err := g.verify(text, sig)
	if err != nil {
		return nil, err
	}
	if tree != g.trusted.Tree() {
		if err := swapState(g.state, g.trusted, cp); err != nil {
			// The file may hold either checkpoint now: start again from it.
			g.refused = err
			return nil, err
		}
		g.trusted = cp
	}
	return sig, nil
}

// verdict keeps a refusal for good, with its evidence. An error that is no
// verdict, such as a tile that could not be read, is tried again.
func (g *guard) verdict(err error, text []byte) error {
	var rejected *translog.RejectedError
	if errors.As(err, &rejected) {
		rejected.Older, rejected.Checkpoint = g.trusted.Note(), text
		g.refused = rejected
		return rejected
	}
	return err
}

// check asks the tiles whether tree continues the trusted one.
func (g *guard) check(tree translog.Tree) error {
	ctx := context.Background() // note.Signer has none; the tiles are on the disk
	trusted := g.trusted.Tree()
	if trusted.Size > 0 {
		var proof [][32]byte
		if trusted.Size < tree.Size {
			hashes, err := g.client.ConsistencyHashes(ctx, trusted.Size, tree.Size)
			if err != nil {
				return err
			}
			proof = hashes
		}
		return translog.CheckConsistency(trusted, tree, proof)
	}
	// Every tree continues the empty one. Compute the root: a tree is not
	// signed because the engine says so.
	root, err := g.client.Root(ctx, tree.Size)
	if err != nil {
		return err
	}
	if root != tree.Root {
		return &translog.RejectedError{
			Code:   translog.CodeConsistencyInvalid,
			Reason: fmt.Sprintf("the tiles of %d entries have another root", tree.Size),
		}
	}
	return nil
}

// verify makes the checkpoint of text and sig, which checks what the key did.
func (g *guard) verify(text, sig []byte) (*translog.Checkpoint, error) {
	raw, err := note.Sign(&note.Note{Text: string(text)}, &signed{g.signer, sig})
	if err != nil {
		return nil, fmt.Errorf("tesseralog: sign: %w", err)
	}
	cp, err := g.policy.VerifyCheckpoint(raw)
	if err != nil {
		//nolint:errorlint // the fault is the signer's: this is no verdict on a log
		return nil, fmt.Errorf("tesseralog: the signer does not sign for its own key: %v", err)
	}
	return cp, nil
}

// signed is a signer that has signed already.
type signed struct {
	*translog.Signer
	sig []byte
}

func (s *signed) Sign([]byte) ([]byte, error) { return s.sig, nil }

// parseTree reads the text that Tessera wants signed; it must be the three
// lines of a checkpoint and no more.
func parseTree(text []byte, origin string) (translog.Tree, error) {
	var c log.Checkpoint
	if _, err := c.Unmarshal(text); err != nil {
		return translog.Tree{}, fmt.Errorf("tesseralog: %w", err)
	}
	if string(c.Marshal()) != string(text) || c.Origin != origin || len(c.Hash) != rfc6962.DefaultHasher.Size() {
		return translog.Tree{}, fmt.Errorf("tesseralog: asked to sign %q, which is no checkpoint of %q", text, origin)
	}
	return translog.Tree{Size: c.Size, Root: [32]byte(c.Hash)}, nil
}

// admit lets the guard sign from now on, after the tree that the engine holds
// has been judged: a wrong one must be known at Open and not at the next tick.
func (g *guard) admit(tree translog.Tree) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.check(tree); err != nil {
		text := log.Checkpoint{Origin: g.signer.Name(), Size: tree.Size, Hash: tree.Root[:]}.Marshal()
		return g.verdict(err, text)
	}
	g.open = true
	return nil
}

// dismiss ends all signing and returns what was signed last.
func (g *guard) dismiss() *translog.Checkpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	return g.trusted
}

// verdictSoFar returns why the guard will never sign again, or nil.
func (g *guard) verdictSoFar() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}
