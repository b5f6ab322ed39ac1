package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"strings"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// A sentCall is what the caller knows of a call, and its record must say.
type sentCall struct {
	server did.DID
	tool   string
	proof  string // the call proof that was sent; empty in an anonymous call
}

// methodCall is the only method that a Session has receipts for.
const methodCall = "tools/call"

type proofKey struct{}

// keepProofOf makes keepProof write down the call proof that goes out with a request.
func keepProofOf(ctx context.Context, c *sentCall) context.Context {
	return context.WithValue(ctx, proofKey{}, &c.proof)
}

// keepProof writes down the proof of the last call that went out: the answer is to
// that one, when the server asked for input in between.
func keepProof(ctx context.Context, s mcpverify.Signed) {
	if proof, ok := ctx.Value(proofKey{}).(*string); ok && s.Method == methodCall {
		*proof = s.Proof
	}
}

// checkRecord checks that an entry of the log of this origin is the server's own record of the call, and what
// the server promised. A server that names the entry of another call has a proof for that one, too.
func (c *sentCall) checkRecord(entry []byte, e *mcpwire.Evidence, keys evidence.Keys, origin string) error {
	u, err := evidence.ParseEntry(entry)
	if err != nil {
		return err
	}
	v, err := u.Verify(keys)
	if err != nil {
		return err
	}
	r, d := v.Record(), v.Record().Decision
	if d == nil {
		return notOfThisCall("kind", "is about no decision")
	}
	switch {
	case r.Server != c.server:
		return notOfThisCall("server", "is of another server")
	case r.ID != e.ID:
		return notOfThisCall("id", "has another id than the server names")
	case d.Method != methodCall || !recordedAs(c.tool, d.Target):
		return notOfThisCall("capiscio.target", "is about the use of something else")
	case !d.Kind.Allows() && !d.Shadow:
		return notOfThisCall("decision_kind", "denies the call, which was answered")
	case c.proof == "" && d.Caller.Auth != evidence.AuthAnonymous:
		return notOfThisCall("capiscio.auth.level", "has a badge, and none was shown")
	case c.proof != "" && d.ProofHash != sha256.Sum256([]byte(c.proof)):
		return notOfThisCall("proof_hash", "has another call proof than the one that was sent")
	}
	if e.Promise == "" {
		return nil
	}
	promise, err := evidence.VerifyPromise(e.Promise, keys)
	if err != nil {
		return err
	}
	if got := promise.Promise().LeafHash.String(); got != e.LeafHash {
		return &evidence.RejectedError{Code: evidence.CodePromiseMismatch, Reason: "the promise is about another leaf than the answer"}
	}
	if got := promise.Promise().LogOrigin; got != origin {
		return &evidence.RejectedError{Code: evidence.CodePromiseMismatch, Reason: "the promise is about another log than this receipt"}
	}
	return promise.Check(v)
}

func notOfThisCall(member, why string) error {
	return &evidence.RejectedError{
		Code: evidence.CodeRecordInvalid, Member: member, Reason: "the record that the server names for this call " + why,
	}
}

// recordedAs reports whether a record says text, itself or its hash (spec/evidence.md section 2.4).
func recordedAs(text, recorded string) bool {
	if strings.HasPrefix(recorded, "sha256:") {
		return recorded == evidence.Hash(sha256.Sum256([]byte(text))).String()
	}
	return recorded == text
}

// keysOf returns the Ed25519 keys of a server's DID document.
func keysOf(ctx context.Context, resolver did.Resolver, server did.DID) (evidence.Keys, error) {
	doc, err := resolver.Resolve(ctx, server)
	if err != nil {
		return nil, err
	}
	keys := evidence.Keys{}
	for _, m := range doc.Methods {
		if key, ok := m.Key.(ed25519.PublicKey); ok {
			keys[m.ID.String()] = key
		}
	}
	return keys, nil
}
