package tour

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/translog"
)

// issuer is the badge issuer of the tour. Nothing is fetched from it: its keys
// and its revocation list are files.
const issuer = "https://issuer.demo.example"

// A party is somebody with a key.
type party struct {
	name  string
	level badge.Level
	key   ed25519.PrivateKey
	did   did.DID
	badge string
}

// world is what the steps make and rest on.
type world struct {
	o     *Options
	found []string

	ca      *party
	server  *party
	agents  []*party // of level 0, 2 and 3, in this order
	logKey  string   // note signer key
	caKeys  badge.StaticKeys
	revoked badge.StatusSource

	tls       *authority
	front     *front
	backend   *backend
	documents map[string]*did.Document // by the path they are served at
	resolver  did.Resolver

	signer crypto.Signer // of the server's identity and evidence
	log    logs.Log
	ledger *evidence.Ledger
	calls  *toolCalls
	loosen func(*guard.Config) // nil; tests take the guard's teeth out with it

	early   *translog.Checkpoint // from before the attacks
	stopped bool

	// The attacks. Tests replace them with something harmless, and see the
	// tour notice that nothing was refused.
	tamper    func(token string) string
	intercept func() error
	rewrite   func(entry []byte) []byte
	forgeKey  func(stranger string) string
	fork      func(genuine, forged [][]byte) [][]byte
}

func newWorld(o *Options) *world {
	w := &world{
		o: o, documents: map[string]*did.Document{},
		tamper: raiseLevel, rewrite: denialToAllowance,
		forgeKey: func(stranger string) string { return stranger },
		fork:     func(_, forged [][]byte) [][]byte { return forged },
	}
	w.intercept = func() error { return w.front.takeOver(w.tls) }
	return w
}

func (w *world) path(elem ...string) string {
	return filepath.Join(append([]string{w.o.Dir}, elem...)...)
}

func (w *world) reader() *party { return w.agents[1] }

// makeKeys makes every key of the tour, each in a file that only its owner can
// read.
func makeKeys(_ context.Context, w *world) error {
	w.ca = &party{name: "issuer"}
	w.server = &party{name: "server", level: badge.LevelOrganization}
	w.agents = []*party{
		{name: "guest", level: badge.LevelSelfSigned},
		{name: "reader", level: badge.LevelDomain},
		{name: "editor", level: badge.LevelOrganization},
	}
	for _, p := range append([]*party{w.ca, w.server}, w.agents...) {
		if err := w.makeKey(p); err != nil {
			return err
		}
	}
	skey, vkey, err := translog.GenerateKey("demo.example/calls")
	if err != nil {
		return err
	}
	w.logKey = skey
	if err := w.keep("log.key", []byte(skey+"\n")); err != nil {
		return err
	}
	if err := w.publish("log.policy", []byte("log "+vkey+"\nquorum none\n")); err != nil {
		return err
	}
	w.signer = w.server.key
	w.find("six keys in %s, each file with mode 0600", w.o.Dir)
	return w.checkModes()
}

func (w *world) makeKey(p *party) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	p.key = key
	text, err := jwk.MarshalPrivate(&jwk.Private{Key: key})
	if err != nil {
		return err
	}
	return w.keep(p.name+".jwk", append(text, '\n'))
}

// checkModes refuses key files that others can read.
func (w *world) checkModes() error {
	keys, err := filepath.Glob(w.path("*.jwk"))
	if err != nil {
		return err
	}
	for _, name := range append(keys, w.path("log.key")) {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			return fmt.Errorf("key file %s has mode %v", filepath.Base(name), info.Mode().Perm())
		}
	}
	return nil
}

// keep writes a secret, publish what anybody may read. Neither overwrites.
func (w *world) keep(name string, data []byte) error { return writeNew(w.path(name), data, 0o600) }

func (w *world) publish(name string, data []byte) error { return writeNew(w.path(name), data, 0o644) }

func writeNew(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// publishDocuments puts the server's and the agents' documents where did:web
// says they are, and resolves each of them as a stranger would.
func publishDocuments(ctx context.Context, w *world) error {
	var err error
	if w.tls, err = newAuthority("Demo Root"); err != nil {
		return err
	}
	if w.backend, err = newBackend(w.tls); err != nil {
		return err
	}
	w.backend.mux.Handle("/", http.HandlerFunc(w.serveDocument))
	if w.front, err = newFront(w.backend.addr()); err != nil {
		return err
	}
	origin := w.front.origin()
	if w.server.did, err = did.FromWebURL(origin); err != nil {
		return err
	}
	for _, p := range w.agents[1:] {
		if p.did, err = did.FromWebURL(origin + "/agents/" + p.name); err != nil {
			return err
		}
	}
	w.agents[0].did = did.FromKey(w.agents[0].key.Public().(ed25519.PublicKey))
	return w.resolveAll(ctx)
}

func (w *world) resolveAll(ctx context.Context) error {
	for _, p := range append([]*party{w.server}, w.agents[1:]...) {
		if _, ok := w.documents[documentPath(p)]; ok {
			continue
		}
		doc, err := did.NewDocument(p.did, did.DocumentKey{Key: p.key.Public()})
		if err != nil {
			return err
		}
		w.documents[documentPath(p)] = doc
	}
	var err error
	w.resolver, err = did.NewResolver(&did.ResolverConfig{UnsafeAllowLoopback: true, RootCAs: w.tls.pool})
	if err != nil {
		return err
	}
	for _, p := range append([]*party{w.server}, w.agents...) {
		doc, err := w.resolver.Resolve(ctx, p.did)
		if err != nil {
			return err
		}
		if len(doc.Methods) != 1 || !doc.Methods[0].Key.(ed25519.PublicKey).Equal(p.key.Public()) {
			return fmt.Errorf("the document of %s does not hold its key", p.did)
		}
		w.find("%-6s %s", p.name, p.did)
	}
	return nil
}

func documentPath(p *party) string {
	if p.name == "server" {
		return "/.well-known/did.json"
	}
	return "/agents/" + p.name + "/did.json"
}

func (w *world) serveDocument(rw http.ResponseWriter, r *http.Request) {
	doc, ok := w.documents[r.URL.Path]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	text, err := doc.MarshalJSON()
	if err != nil {
		http.Error(rw, "internal error", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/did+json")
	_, _ = rw.Write(text)
}

// issueBadges gives each party its badge and verifies it with the issuer's
// published keys and revocation list.
func issueBadges(ctx context.Context, w *world) error {
	w.caKeys = badge.StaticKeys{issuer: {{ID: "issuer-1", Public: w.ca.key.Public()}}}
	key := &badge.IssuerKey{Issuer: issuer, KeyID: "issuer-1", Signer: w.ca.key}
	list, err := badge.SignRevocationList(key, &badge.RevocationClaims{Issuer: issuer, AsOf: time.Now()})
	if err != nil {
		return err
	}
	if w.revoked, err = badge.ParseRevocationList(list, issuer, w.caKeys[issuer]); err != nil {
		return err
	}
	verifier, err := w.newBadgeVerifier()
	if err != nil {
		return err
	}
	for _, p := range append([]*party{w.server}, w.agents...) {
		if p.badge == "" {
			if p.badge, err = w.issue(key, p); err != nil {
				return err
			}
		}
		b, err := verifier.Verify(ctx, p.badge)
		if err != nil {
			return err
		}
		if b.Level() != p.level || b.Subject() != p.did {
			return fmt.Errorf("the badge of %s says level %s of %s", p.name, b.Level(), b.Subject())
		}
		if err := w.keep(p.name+".badge", []byte(p.badge+"\n")); err != nil {
			return err
		}
		w.find("%-6s level %s, issued by %s", p.name, b.Level(), issuerName(b))
	}
	return nil
}

func issuerName(b *badge.Badge) string {
	if b.SelfSigned() {
		return "itself"
	}
	return b.Issuer()
}

func (w *world) issue(key *badge.IssuerKey, p *party) (string, error) {
	if p.level == badge.LevelSelfSigned {
		return badge.SelfSign(p.key, &badge.Template{TTL: badge.MaxTTL})
	}
	return badge.Issue(key, &badge.Template{
		Subject: p.did, SubjectKey: p.key.Public(), Level: p.level, Domain: "localhost", TTL: badge.MaxTTL,
	})
}

// newBadgeVerifier trusts the issuer, and the guest's own word on itself.
func (w *world) newBadgeVerifier() (*badge.Verifier, error) {
	return badge.NewVerifier(&badge.Config{
		Issuers: []string{issuer}, Keys: w.caKeys, Status: w.revoked, Resolver: w.resolver,
		SelfSigned: []did.DID{w.agents[0].did},
	})
}

// newServerVerifier is how an agent judges servers.
func (w *world) newServerVerifier() (*serververify.Verifier, error) {
	badges, err := w.newBadgeVerifier()
	if err != nil {
		return nil, err
	}
	return serververify.New(&serververify.Config{
		Badges: badges, Resolver: w.resolver, MinLevel: badge.LevelDomain,
		RootCAs: w.tls.pool, UnsafeAllowLoopback: true,
	})
}

// stop ends what runs. Its second call does nothing.
func (w *world) stop(ctx context.Context) error {
	if w.stopped {
		return nil
	}
	w.stopped = true
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var errs []error
	if w.front != nil {
		errs = append(errs, w.front.close())
	}
	if w.backend != nil {
		errs = append(errs, w.backend.close(ctx))
	}
	if w.ledger != nil {
		errs = append(errs, w.ledger.Close(ctx))
	}
	if w.log != nil {
		errs = append(errs, w.log.Close(ctx))
	}
	return errors.Join(errs...)
}
