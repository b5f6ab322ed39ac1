package jwk

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// smallOrder lists the encodings, canonical or not, of the points of order 1, 2, 4 and 8, with the sign bit
// cleared. A signature under such a key can be made without a private key, so whoever signs with one has
// signed nothing.
var smallOrder = [...][ed25519.PublicKeySize]byte{
	{},  // y = 0, order 4
	{1}, // y = 1, order 1
	{ // order 8
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{ // order 8
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	primePlus(0xec), // y = -1, order 2
	primePlus(0xed), // y = p, that is 0
	primePlus(0xee), // y = p + 1, that is 1
}

// primePlus is the encoding of 2^255-256+low; 2^255-19 has the low byte 0xed.
func primePlus(low byte) [ed25519.PublicKeySize]byte {
	var p [ed25519.PublicKeySize]byte
	for i := range p {
		p[i] = 0xff
	}
	p[0], p[len(p)-1] = low, 0x7f
	return p
}

// CheckEd25519 refuses keys of the wrong length and points of small order. It does not decompress the point:
// a key that is not on the curve verifies nothing.
func CheckEd25519(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("jwk: Ed25519 public key of %d bytes", len(key))
	}
	y := [ed25519.PublicKeySize]byte(key)
	y[len(y)-1] &= 0x7f
	for i := range smallOrder {
		if y == smallOrder[i] {
			return errors.New("jwk: Ed25519 public key of small order")
		}
	}
	return nil
}
