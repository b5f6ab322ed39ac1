package badge

import (
	"context"
	"slices"

	"github.com/touchmark-dev/touchmark/internal/jws"
)

func (v *Verifier) issuerKeys(ctx context.Context, c *claims) ([]Key, error) {
	keys, err := v.keys.IssuerKeys(ctx, c.issuer)
	if err != nil {
		return nil, c.undetermined(CodeKeyFetchFailed, err, "keys of issuer %q could not be had: %v", c.issuer, err)
	}
	return keys, nil
}

// findKey returns the key of the issuer's set that made the signature.
func (v *Verifier) findKey(ctx context.Context, m *jws.Message, c *claims) (Key, error) {
	keys, err := v.issuerKeys(ctx, c)
	if err != nil {
		return Key{}, err
	}
	if m.Kid != "" && !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == m.Kid }) {
		if keys, err = v.refreshedKeys(ctx, m.Kid, c); err != nil {
			return Key{}, err
		}
	}
	tries := 0
	for _, key := range keys {
		if m.Kid != "" && key.ID != m.Kid {
			continue
		}
		if tries++; tries > maxKeyTries {
			break
		}
		if m.Verify(key.Public) == nil {
			return key, checkNotIssuerKey(c, keys)
		}
	}
	if m.Kid != "" {
		return Key{}, c.refuse(CodeSignatureInvalid, "", "the signature is not that of the issuer's key %.100q", m.Kid)
	}
	return Key{}, c.refuse(CodeSignatureInvalid, "", "the signature is not that of the first %d keys of the issuer, and no kid names another", maxKeyTries)
}

// refreshedKeys asks a source that can look again for a kid that its last answer lacked.
func (v *Verifier) refreshedKeys(ctx context.Context, kid string, c *claims) ([]Key, error) {
	missing := c.refuse(CodeSignatureInvalid, "", "header member kid is %.100q, which the issuer's set lacks", kid)
	source, ok := v.keys.(KeyRefresher)
	if !ok {
		return nil, missing
	}
	keys, err := source.RefreshIssuerKeys(ctx, c.issuer)
	if err != nil {
		return nil, c.undetermined(CodeKeyFetchFailed, err, "keys of issuer %q could not be had: %v", c.issuer, err)
	}
	if !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == kid }) {
		return nil, missing
	}
	return keys, nil
}

// checkNotIssuerKey refuses a badge that gives out a key of the issuer as the subject's.
func checkNotIssuerKey(c *claims, keys []Key) error {
	for _, key := range keys {
		if sameKey(key.Public, c.key) {
			return c.refuse(CodeClaimsInvalid, "key", "is a key of the issuer")
		}
	}
	return nil
}
