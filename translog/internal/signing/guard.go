// Package signing is the only way to the key of a log: what it signs continues what it signed last.
package signing

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

// A Guard is the only way to a log's key. Engines sign whatever tree they find;
// the Guard signs one only when it continues the tree that was signed last, as
// the tiles on the disk prove. Make it with [New].
type Guard struct {
	signer *translog.Signer
	policy *translog.Policy
	state  State
	client *tlogclient.Client

	mu      sync.Mutex
	trusted *translog.Checkpoint // what the state holds
	open    bool                 // may sign
	refused error                // the verdict that ended all signing
}

// A State keeps the checkpoint that was signed last. [File] is one.
type State interface {
	// Swap replaces older with newer, durably, if older is what it holds. When it fails, it may hold either.
	Swap(older, newer *translog.Checkpoint) error
}

// New returns a Guard that signs nothing before [Guard.Admit]. trusted is what the state holds; client reads the tiles of
// the engine.
func New(signer *translog.Signer, state State, client *tlogclient.Client, trusted *translog.Checkpoint) (*Guard, error) {
	policy, err := Policy(signer)
	if err != nil {
		return nil, err
	}
	return &Guard{signer: signer, policy: policy, state: state, client: client, trusted: trusted}, nil
}

// Policy trusts a log's key alone, and asks for no witness.
func Policy(signer *translog.Signer) (*translog.Policy, error) {
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", signer.VerifierKey()))
	if err != nil {
		return nil, fmt.Errorf("translog: %w", err)
	}
	return policy, nil
}

// Trusted returns what was signed last.
func (g *Guard) Trusted() *translog.Checkpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trusted
}

// AllowFirst lets the Guard sign before [Guard.Admit]: the first checkpoint of a log that has none. It does nothing
// if anything but the empty tree was signed.
func (g *Guard) AllowFirst() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = g.open || g.trusted.Size() == 0
}

var _ note.Signer = (*Guard)(nil)

var errNotOpen = errors.New("translog: the log is not open for signing")

// Name returns the log's origin.
func (g *Guard) Name() string { return g.signer.Name() }

// KeyHash returns the identifier of the log's key.
func (g *Guard) KeyHash() uint32 { return g.signer.KeyHash() }

// Sign signs the text of a checkpoint. Nobody sees the signature before the
// state holds the checkpoint.
func (g *Guard) Sign(text []byte) ([]byte, error) {
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
		return nil, fmt.Errorf("translog: sign: %w", err)
	}
	cp, err := g.verify(text, sig)
	if err != nil {
		return nil, err
	}
	if tree != g.trusted.Tree() {
		if err := g.state.Swap(g.trusted, cp); err != nil {
			// The state may hold either checkpoint now: start again from it.
			g.refused = err
			return nil, err
		}
		g.trusted = cp
	}
	return sig, nil
}

// SignTree signs a tree as a checkpoint, and returns it.
func (g *Guard) SignTree(tree translog.Tree) (*translog.Checkpoint, error) {
	text := log.Checkpoint{Origin: g.Name(), Size: tree.Size, Hash: tree.Root[:]}.Marshal()
	sig, err := g.Sign(text)
	if err != nil {
		return nil, err
	}
	return g.verify(text, sig)
}

// verdict keeps a refusal for good, with its evidence. An error that is no
// verdict, such as a tile that could not be read, is tried again.
func (g *Guard) verdict(err error, text []byte) error {
	var rejected *translog.RejectedError
	if errors.As(err, &rejected) {
		rejected.Older, rejected.Checkpoint = g.trusted.Note(), text
		g.refused = rejected
		return rejected
	}
	return err
}

// check asks the tiles whether tree continues the trusted one.
func (g *Guard) check(tree translog.Tree) error {
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
func (g *Guard) verify(text, sig []byte) (*translog.Checkpoint, error) {
	raw, err := note.Sign(&note.Note{Text: string(text)}, &signed{g.signer, sig})
	if err != nil {
		return nil, fmt.Errorf("translog: sign: %w", err)
	}
	cp, err := g.policy.VerifyCheckpoint(raw)
	if err != nil {
		//nolint:errorlint // the fault is the signer's: this is no verdict on a log
		return nil, fmt.Errorf("translog: the signer does not sign for its own key: %v", err)
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
		return translog.Tree{}, fmt.Errorf("translog: %w", err)
	}
	if string(c.Marshal()) != string(text) || c.Origin != origin || len(c.Hash) != rfc6962.DefaultHasher.Size() {
		return translog.Tree{}, fmt.Errorf("translog: asked to sign %q, which is no checkpoint of %q", text, origin)
	}
	return translog.Tree{Size: c.Size, Root: [32]byte(c.Hash)}, nil
}

// Admit lets the Guard sign from now on, after the tree that the engine holds
// has been judged: a wrong one must be known at Open and not at the next tick.
func (g *Guard) Admit(tree translog.Tree) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.judge(tree); err != nil {
		return err
	}
	g.open = true
	return nil
}

// Judge says what Admit would, and does not let the Guard sign: an engine with more to judge has published nothing meanwhile.
func (g *Guard) Judge(tree translog.Tree) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.judge(tree)
}

// judge is called with mu.
func (g *Guard) judge(tree translog.Tree) error {
	err := g.check(tree)
	if err != nil {
		text := log.Checkpoint{Origin: g.signer.Name(), Size: tree.Size, Hash: tree.Root[:]}.Marshal()
		err = g.verdict(err, text)
	}
	return err
}

// Dismiss ends all signing and returns what was signed last.
func (g *Guard) Dismiss() *translog.Checkpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	return g.trusted
}

// Verdict returns why the Guard will never sign again, or nil.
func (g *Guard) Verdict() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}
