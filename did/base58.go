package did

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// base58Digits is how many digits are taken at a time: as many as a word of 32 bits has room for.
const base58Digits = 5

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// encodeBase58 encodes b in base58btc. Each leading zero byte is a '1'.
func encodeBase58(b []byte) string {
	zeros := 0
	for zeros < len(b) && b[zeros] == 0 {
		zeros++
	}
	digits := make([]byte, 0, len(b)*138/100+1) // little endian
	for _, c := range b[zeros:] {
		carry := int(c)
		for i := range digits {
			carry += int(digits[i]) << 8
			digits[i] = byte(carry % 58)
			carry /= 58
		}
		for ; carry > 0; carry /= 58 {
			digits = append(digits, byte(carry%58))
		}
	}
	out := make([]byte, zeros+len(digits))
	for i := range zeros {
		out[i] = base58Alphabet[0]
	}
	for i, d := range digits {
		out[len(out)-1-i] = base58Alphabet[d]
	}
	return string(out)
}

// decodeBase58 decodes s. Every string over the alphabet is the encoding of
// exactly one byte string, so that decoding needs no canonicity check. The
// cost is quadratic: callers bound the length first.
func decodeBase58(s string) ([]byte, error) {
	zeros := 0
	for zeros < len(s) && s[zeros] == base58Alphabet[0] {
		zeros++
	}
	words := make([]uint32, 0, (len(s)+base58Digits-1)/base58Digits) // little endian
	for i := zeros; i < len(s); {
		factor, carry := uint64(1), uint64(0)
		for end := min(i+base58Digits, len(s)); i < end; i++ {
			v := strings.IndexByte(base58Alphabet, s[i])
			if v < 0 {
				return nil, errors.New("a character outside the base58btc alphabet")
			}
			factor, carry = factor*58, carry*58+uint64(v)
		}
		for j, w := range words {
			carry += uint64(w) * factor
			words[j], carry = uint32(carry), carry>>32 //nolint:gosec // the lower half
		}
		if carry > 0 {
			words = append(words, uint32(carry)) //nolint:gosec // less than factor
		}
	}
	out := make([]byte, zeros, zeros+4*len(words))
	for i := len(words) - 1; i >= 0; i-- {
		out = binary.BigEndian.AppendUint32(out, words[i])
	}
	number := bytes.TrimLeft(out[zeros:], "\x00")
	return append(out[:zeros], number...), nil
}
