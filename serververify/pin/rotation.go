package pin

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// RotationType is the typ of a statement about a new key.
const RotationType = "touchmark-rotation+jwt"

// RotationLifetime is how long a statement is good for.
const RotationLifetime = 90 * 24 * time.Hour

// A Rotation replaces the key of a pin.
type Rotation struct {
	Endpoint string
	OldKey   string // the thumbprint that is pinned now; another one is an error
	NewKey   string // the thumbprint from now on, or Any

	// Statement is what [SignRotation] made with the old key, or "" when the
	// caller vouches for the change.
	Statement string
}

// Rotate replaces the key of a pin, and notes in the file on whose word.
func (s *Store) Rotate(ctx context.Context, r *Rotation) error {
	return s.edit(ctx, r.Endpoint, func(f *file, at string, i int) error {
		if i < 0 {
			return fmt.Errorf("%s has no pin", at)
		}
		p, now := *f.lines[i].pin, s.cfg.Time()
		if p.DID.IsZero() || p.Key != r.OldKey {
			return fmt.Errorf("%s is not pinned with the key %q: %s", at, r.OldKey, &p)
		}
		word := "by hand"
		if r.Statement != "" {
			if err := checkRotation(r, p.DID, now); err != nil {
				return fmt.Errorf("statement: %w", err)
			}
			word = "on the word of the old key"
		}
		if p.Key = r.NewKey; p.Key == r.OldKey {
			return errors.New("the new key is the old one")
		}
		if err := f.set(p); err != nil {
			return err
		}
		f.note(i, fmt.Sprintf("%s: key %s replaced %s", now.UTC().Format(timeFormat), r.OldKey, word))
		return nil
	})
}

// rotationClaims is the payload of a statement (spec/pins.md section 5).
type rotationClaims struct {
	Expires, IssuedAt int64
	Issuer            string
	NewKey            string           // thumbprint
	OldKey            strictjson.Value // JWK
}

// SignRotation makes the statement by which the holder of a key names the next
// key of a DID.
func SignRotation(old crypto.Signer, d did.DID, next crypto.PublicKey, at time.Time) (string, error) {
	newKey, err := jwk.Thumbprint(next)
	if err != nil {
		return "", fmt.Errorf("pin: the next key: %w", err)
	}
	oldKey, err := jwk.Marshal(old.Public(), "")
	if err != nil {
		return "", fmt.Errorf("pin: the old key: %w", err)
	}
	payload, err := jcs.Marshal(map[string]any{
		"exp": at.Add(RotationLifetime).Unix(), "iat": at.Unix(), "iss": d.String(), "new_key": newKey, "old_key": json.RawMessage(oldKey),
	})
	if err != nil {
		return "", fmt.Errorf("pin: %w", err)
	}
	token, err := jws.Sign(jws.Header{Typ: RotationType, Kid: d.String()}, payload, old)
	if err != nil {
		return "", fmt.Errorf("pin: %w", err)
	}
	return token, nil
}

// checkRotation does the steps of spec/pins.md section 5.
func checkRotation(r *Rotation, d did.DID, now time.Time) error {
	m, err := jws.Parse(r.Statement)
	if err != nil {
		return err
	}
	if m.Typ != RotationType || m.Kid != d.String() {
		return fmt.Errorf("typ %.60q and kid %.60q, want %q and %q", m.Typ, m.Kid, RotationType, d)
	}
	var c rotationClaims
	if err := c.parse(m); err != nil {
		return err
	}
	old, err := jwk.ParsePublic([]byte(c.OldKey))
	if err != nil {
		return fmt.Errorf("old_key: %w", err)
	}
	thumbprint, err := jwk.Thumbprint(old.Key)
	switch {
	case err != nil:
		return err
	case thumbprint != r.OldKey:
		return fmt.Errorf("it is signed with the key %s, and not with the pinned one", thumbprint)
	case m.Verify(old.Key) != nil:
		return errors.New("its signature does not verify")
	case c.Issuer != d.String():
		return fmt.Errorf("it is about %.200q", c.Issuer)
	case c.NewKey != r.NewKey || !endpoint.IsThumbprint(c.NewKey):
		return fmt.Errorf("it names the new key %.60q", c.NewKey)
	case c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > int64(RotationLifetime/time.Second) || c.IssuedAt > now.Add(time.Minute).Unix():
		return errors.New("its times cannot be")
	case c.Expires <= now.Unix():
		return errors.New("it has expired")
	}
	return nil
}

// parse wants exactly the members of a statement.
func (c *rotationClaims) parse(m *jws.Message) error {
	v, err := m.PayloadValue()
	if err != nil || v.Kind() != '{' {
		return errors.New("the payload is no JSON object")
	}
	have := 0
	for members := v.Members(); members.Next(); have++ {
		var ok bool
		switch value := members.Value; members.Name {
		case "exp":
			c.Expires, ok = seconds(value)
		case "iat":
			c.IssuedAt, ok = seconds(value)
		case "iss":
			c.Issuer, ok = value.Text()
		case "new_key":
			c.NewKey, ok = value.Text()
		case "old_key":
			c.OldKey, ok = value, value.Kind() == '{'
		}
		if !ok {
			return fmt.Errorf("member %.60q is unknown, or of another type", members.Name)
		}
	}
	if have != 5 { // no name stands twice in strict JSON
		return errors.New("want the members exp, iat, iss, new_key and old_key")
	}
	return nil
}

func seconds(v strictjson.Value) (int64, bool) {
	n, ok := v.Uint()
	return int64(n), ok //nolint:gosec // Uint has at most 15 digits
}
