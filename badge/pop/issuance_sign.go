package pop

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// issuanceClaims is the payload of an issuance proof.
type issuanceClaims struct {
	Audience  string `json:"aud"`
	Challenge string `json:"cid"`
	Expires   int64  `json:"exp"`
	Method    string `json:"htm"`
	URI       string `json:"htu"`
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	Nonce     string `json:"nonce"`
	Subject   string `json:"sub"`
}

// SignIssuance answers a challenge, which an agent has from [ParseChallenge]. The key is Ed25519 or P-256, and keyID
// the DID URL of it in the subject's document; empty stands for the one key of a did:key. The proof is good for 60 s
// from now, or until the challenge is over, whichever comes first: send it at once.
func SignIssuance(key crypto.Signer, keyID string, c *Challenge, now time.Time) (string, error) {
	if key == nil || c == nil {
		return "", errors.New("issuance proof: signing takes a key and a challenge")
	}
	if err := c.check(); err != nil {
		return "", err
	}
	if keyID == "" {
		keyID = c.Subject.KeyURL()
	}
	if id, err := did.ParseURL(keyID); err != nil || id.DID != c.Subject {
		return "", fmt.Errorf("issuance proof: key id %.200q is not a DID URL of %q", keyID, c.Subject)
	}
	iat := now.Unix()
	exp := min(iat+int64(MaxIssuanceWindow/time.Second), c.ExpiresAt.Unix())
	if exp <= iat {
		return "", fmt.Errorf("issuance proof: challenge %q is over: ask for a new one, or set this clock", c.ID)
	}
	payload, err := jcs.Marshal(&issuanceClaims{
		Audience: c.Audience, Challenge: c.ID, Expires: exp, Method: c.HTTPMethod, URI: c.HTTPURI, IssuedAt: iat,
		ID: newUUID(), Nonce: c.Nonce, Subject: c.Subject.String(),
	})
	if err != nil {
		return "", fmt.Errorf("issuance proof: %w", err)
	}
	return jws.SignMax(jws.Header{Typ: issuanceTyp, Kid: keyID}, payload, key, MaxProofBytes)
}
