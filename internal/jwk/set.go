package jwk

import (
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	// MaxSetBytes is the size of the longest key set that is read.
	MaxSetBytes = 256 << 10
	// MaxKeys is how many keys a set may have, of whatever kind.
	MaxKeys = 64
)

// ParseSet reads a key set (RFC 7517 section 5). Keys of other kinds or for other uses are passed over, so
// the result may be empty. Refused are a set with a private member in any key and one with two keys of the
// same kid: neither says whom to trust.
func ParseSet(data []byte) ([]*Public, error) {
	if len(data) > MaxSetBytes {
		return nil, fmt.Errorf("jwk: key set of more than %d bytes", MaxSetBytes)
	}
	v, err := strictjson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	list, err := keysMember(v)
	if err != nil {
		return nil, err
	}
	var keys []*Public
	seen := make(map[string]bool)
	n := 0
	for it := list.Elements(); it.Next(); {
		if n++; n > MaxKeys {
			return nil, fmt.Errorf("jwk: key set of more than %d keys", MaxKeys)
		}
		key, err := FromValue(it.Value)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("jwk: key %d of the set: %w", n, err)
		}
		if key.KeyID != "" && seen[key.KeyID] {
			return nil, fmt.Errorf("jwk: key set has kid %q twice", key.KeyID)
		}
		seen[key.KeyID] = true
		keys = append(keys, &key)
	}
	return keys, nil
}

func keysMember(set strictjson.Value) (strictjson.Value, error) {
	for it := set.Members(); it.Next(); {
		if it.Name == "keys" && it.Value.Kind() == '[' {
			return it.Value, nil
		}
	}
	return "", errors.New(`jwk: key set without an array "keys"`)
}
