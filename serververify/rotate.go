package serververify

import (
	"crypto"
)

// A credential is a key and the badge that names it.
type credential struct {
	badge  BadgeSource
	signer crypto.Signer
	keyID  string
}

func (i *Identity) credential() *credential {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.rotated != nil {
		return i.rotated
	}
	return &credential{i.cfg.Badge, i.cfg.Signer, i.cfg.KeyID}
}

// Rotate lets the identity prove itself with another key from now on, whose
// method in the DID document is keyID, as in [IdentityConfig.KeyID], and whose
// badge comes from source. Publish the key in the DID document before, beside
// the old one; take the old one out when the last badge that names it has ended
// (spec/server-identity.md section 6.1). Challenges under way end with the key
// they began with.
func (i *Identity) Rotate(signer crypto.Signer, keyID string, source BadgeSource) error {
	c := i.cfg
	c.Signer, c.KeyID, c.Badge = signer, keyID, source
	next, err := NewIdentity(&c)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rotated = &credential{next.cfg.Badge, next.cfg.Signer, next.cfg.KeyID}
	return nil
}
