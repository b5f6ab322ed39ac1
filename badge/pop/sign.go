package pop

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// headerTyp is what the header member typ of a call proof says.
const headerTyp = "capiscio.hop+jwt"

// MaxWindow is the longest time between iat and exp of a call proof.
const MaxWindow = 60 * time.Second

// defaultTTL is for calls that are sent at once: what is left of a proof after that only serves a thief.
const defaultTTL = 30 * time.Second

// DefaultHTTPMethod is the claim htm of calls over MCP, whatever the transport.
const DefaultHTTPMethod = "POST"

// A Statement is what an agent says with a call proof.
type Statement struct {
	Call    *Call   // required
	Subject did.DID // the badge's subject; required
	BadgeID string  // the badge's jti; required
	Server  did.DID // the verified DID of the server that is called; required
	TxnID   string  // the transaction, sent beside the proof as well; required, see [NewTxnID]

	// Audience is the claim target_aud. Empty stands for the origin of a did:web server, and else its DID.
	Audience string

	// ParentHopHash names the hop that caused this one, as [HashHop] does; it may be empty.
	ParentHopHash string

	// KeyID is the header's kid. Empty stands for the one key of a did:key subject, and else for no kid.
	KeyID string

	// HTTPMethod and HTTPURI are the claims htm and htu. Empty stands for POST and [TargetURI].
	HTTPMethod string
	HTTPURI    string

	TTL  time.Duration    // 0 stands for 30 s; at most MaxWindow, in whole seconds
	Time func() time.Time // nil stands for time.Now
}

// claims is the payload of a call proof. The order of the fields does not matter: it is written in canonical
// form.
type claims struct {
	BadgeID       string `json:"badge_jti"`
	CallHash      string `json:"call_hash"`
	CallSalt      string `json:"call_salt"`
	Expires       int64  `json:"exp"`
	HopID         string `json:"hop_id"`
	HTTPMethod    string `json:"htm"`
	HTTPURI       string `json:"htu"`
	IssuedAt      int64  `json:"iat"`
	Issuer        string `json:"iss"`
	ParentHopHash string `json:"parent_hop_hash,omitempty"`
	Server        string `json:"srv"`
	Audience      string `json:"target_aud"`
	TxnID         string `json:"txn_id"`
}

// Sign makes a call proof with the badge's key, which must be Ed25519. Each proof is for one call: a retry
// needs another.
func Sign(key crypto.Signer, s *Statement) (string, error) {
	if key == nil {
		return "", errors.New("call proof: no key to sign with")
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return "", fmt.Errorf("call proof: hop attestations are signed with Ed25519, not with a key of type %T", key.Public())
	}
	c, err := s.claims()
	if err != nil {
		return "", err
	}
	if err := c.check(MaxWindow); err != nil {
		return "", err
	}
	payload, err := jcs.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("call proof: %w", err)
	}
	kid := s.KeyID
	if kid == "" {
		kid = s.Subject.KeyURL()
	}
	return jws.SignMax(jws.Header{Typ: headerTyp, Kid: kid}, payload, key, MaxProofBytes)
}

func (s *Statement) claims() (*claims, error) {
	if s.Call == nil || s.Subject.IsZero() || s.Server.IsZero() {
		return nil, errors.New("call proof: a statement needs a call, a subject and a server")
	}
	now, ttl := time.Now, s.TTL
	if s.Time != nil {
		now = s.Time
	}
	if ttl == 0 {
		ttl = defaultTTL
	}
	if ttl < time.Second || ttl > MaxWindow {
		return nil, fmt.Errorf("call proof: a TTL of %v: want 1s to %v", ttl, MaxWindow)
	}
	var salt [32]byte
	rand.Read(salt[:]) //nolint:errcheck // never fails, see crypto/rand
	hash, err := s.Call.Hash(salt)
	if err != nil {
		return nil, err
	}
	iat := now().Unix()
	return &claims{
		BadgeID:       s.BadgeID,
		CallHash:      hash,
		CallSalt:      base64.RawURLEncoding.EncodeToString(salt[:]),
		Expires:       iat + int64(ttl/time.Second),
		HopID:         newUUID(),
		HTTPMethod:    orDefault(s.HTTPMethod, DefaultHTTPMethod),
		HTTPURI:       orDefault(s.HTTPURI, TargetURI(s.Server, s.Call.Method)),
		IssuedAt:      iat,
		Issuer:        s.Subject.String(),
		ParentHopHash: s.ParentHopHash,
		Server:        s.Server.String(),
		Audience:      orDefault(s.Audience, ownAudience(s.Server)),
		TxnID:         s.TxnID,
	}, nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// ownAudience is the audience by which a server is known when nothing else is agreed.
func ownAudience(server did.DID) string {
	if origin, err := server.Origin(); err == nil {
		return origin
	}
	return server.String()
}

// NewTxnID returns an id for a new transaction. A call that another call caused carries the id of that one.
func NewTxnID() string { return newUUID() }

// newUUID returns a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
