package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// MaxMasterKeyBytes is the length of the longest master key file.
const MaxMasterKeyBytes = 8 << 10

// ErrWrapOnly says that a master key has the public half alone: it wraps and does not unwrap.
var ErrWrapOnly = errors.New("this master key has its public half alone, and opens nothing")

// NewMasterKey returns a new master key: the text of a file for [ParseMasterKey]. It is an identity of age, as age-keygen
// makes them.
func NewMasterKey() ([]byte, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "# public key: %s\n%s\n", id.Recipient(), id), nil
}

// ParseMasterKey reads a master key: a file of age identities (AGE-SECRET-KEY-1...), of which the first wraps and each
// unwraps, or of age recipients (age1...). With recipients a vault makes a new key each time it is opened, and opens
// nothing: who serves need not be able to read what was recorded before.
func ParseMasterKey(data []byte) (Wrapper, error) {
	if len(data) > MaxMasterKeyBytes {
		return nil, fmt.Errorf("vault: the master key has %d bytes, the limit is %d", len(data), MaxMasterKeyBytes)
	}
	if !bytes.Contains(data, []byte("AGE-SECRET-KEY-1")) {
		recipients, err := age.ParseRecipients(bytes.NewReader(data))
		if err != nil {
			return nil, errors.New("vault: the master key holds neither identities of age nor recipients") // and is not repeated
		}
		return &ageWrapper{to: recipients}, nil
	}
	identities, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("vault: the master key is not a file of age identities")
	}
	first, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return nil, errors.New("vault: the first identity of the master key is of another type than X25519")
	}
	return &ageWrapper{to: []age.Recipient{first.Recipient()}, with: identities}, nil
}

type ageWrapper struct {
	to   []age.Recipient
	with []age.Identity // none: it wraps alone
}

func (w *ageWrapper) Wrap(_ context.Context, key []byte) ([]byte, error) {
	var out bytes.Buffer
	in, err := age.Encrypt(&out, w.to...)
	if err != nil {
		return nil, err
	}
	if _, err := in.Write(key); err != nil {
		return nil, err
	}
	if err := in.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (w *ageWrapper) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(w.with) == 0 {
		return nil, ErrWrapOnly
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), w.with...)
	if err != nil {
		if e := new(age.NoIdentityMatchError); errors.As(err, &e) {
			return nil, errors.New("the master key is not the one that wrapped this key")
		}
		return nil, fmt.Errorf("the wrapped key is damaged: %s", strings.TrimPrefix(err.Error(), "age: "))
	}
	return io.ReadAll(io.LimitReader(r, maxKeyFile))
}
