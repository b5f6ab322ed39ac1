package client

import (
	"fmt"
	"io"
	"os"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// FileKeys reads the key sets of issuers, given as a file for each, for
// verification without a network. An issuer is an https origin, or a did:web
// for the compat profile. The files are read now and never again.
func FileKeys(files map[string]string) (badge.StaticKeys, error) {
	out := make(badge.StaticKeys, len(files))
	for issuer, path := range files {
		if d, err := did.Parse(issuer); err != nil || d.Method() != did.MethodWeb {
			if _, err := checkOrigin(issuer); err != nil {
				return nil, err
			}
		}
		data, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("badge/client: key set of %q: %w", issuer, err)
		}
		keys, err := ParseKeys(data)
		if err != nil {
			return nil, fmt.Errorf("badge/client: key set of %q in %q: %w", issuer, path, err)
		}
		if len(keys) == 0 {
			return nil, fmt.Errorf("badge/client: key set of %q in %q has no key that can be used", issuer, path)
		}
		out[issuer] = keys
	}
	return out, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, jwk.MaxSetBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > jwk.MaxSetBytes {
		return nil, fmt.Errorf("%q has more than %d bytes", path, jwk.MaxSetBytes)
	}
	return data, nil
}

// ParseKeys reads a key set (RFC 7517 section 5). Keys of other kinds than
// Ed25519 and P-256, and keys for other uses than signatures, are left out.
// The set is refused as a whole when it is not strict JSON, has too many keys,
// two keys of one name, or a private key.
func ParseKeys(data []byte) ([]badge.Key, error) {
	set, err := jwk.ParseSet(data)
	if err != nil {
		return nil, err
	}
	keys := make([]badge.Key, len(set))
	for i, k := range set {
		keys[i] = badge.Key{ID: k.KeyID, Public: k.Key}
	}
	return keys, nil
}
