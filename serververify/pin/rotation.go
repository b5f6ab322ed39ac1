package pin

import (
	"crypto"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// SignRotation makes the statement by which the holder of an old key names the
// next key of a DID (spec/pins.md section 5).
func SignRotation(old crypto.Signer, d did.DID, next crypto.PublicKey, at time.Time) (string, error) {
	return "", nil
}
