package did_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

func TestBase58(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "1": "\x00", "11": "\x00\x00", "2": "\x01", "z": "\x39", "21": "\x3a", "5Q": "\xff",
		"7paNL19xttacUY": "yes mani !", "17paNL19xttacUY": "\x00yes mani !",
		"StV1DL6CwTryKyV": "hello world",
	} {
		got, err := did.DecodeBase58(text)
		if err != nil || string(got) != want {
			t.Errorf("decode %q = %q, %v, want %q", text, got, err, want)
		}
		if back := did.EncodeBase58([]byte(want)); back != text {
			t.Errorf("encode %q = %q, want %q", want, back, text)
		}
	}
	for _, text := range []string{"0", "O", "I", "l", "a b", "é", "z\n", "\x00", "\xff"} {
		if b, err := did.DecodeBase58(text); err == nil {
			t.Errorf("decode %q = %q", text, b)
		}
	}
}

// Base58 is a number in another base: math/big agrees, both ways, and there is
// one text for each byte string.
func TestBase58IsANumber(t *testing.T) {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b := make([]byte, rng.IntN(80))
		for i := rng.IntN(len(b) + 1); i < len(b); i++ { // some begin with zeros
			b[i] = byte(rng.Uint32())
		}
		var want strings.Builder
		rest := bytes.TrimLeft(b, "\x00")
		want.WriteString(strings.Repeat("1", len(b)-len(rest)))
		n, digits := new(big.Int).SetBytes(rest), ""
		for n.Sign() > 0 {
			var d big.Int
			n.DivMod(n, big.NewInt(58), &d)
			digits = string(alphabet[d.Int64()]) + digits
		}
		want.WriteString(digits)
		if got := did.EncodeBase58(b); got != want.String() {
			t.Fatalf("encode %x = %q, want %q", b, got, want.String())
		}
		if back, err := did.DecodeBase58(want.String()); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("decode %q = %x, %v, want %x", want.String(), back, err, b)
		}
	}
}

func TestMultikeyPrefix(t *testing.T) {
	key := edKey(1)
	for name, prefix := range map[string][]byte{
		"longer varint": {0xed, 0x81, 0x00},
		"unended":       {0xed},
		"overflow":      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"none":          {},
		"private key":   {0x80, 0x26},
	} {
		text := "did:key:z" + did.EncodeBase58(append(prefix, key...))
		if d, err := did.Parse(text); err == nil {
			t.Errorf("%s: %q is accepted", name, d)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		text := "did:key:" + did.EncodeMultikey(did.CodecEd25519, bytes.Repeat([]byte{9}, n))
		if d, err := did.Parse(text); err == nil {
			t.Errorf("a key of %d bytes: %q is accepted", n, d)
		}
	}
	for text, kind := range map[string]string{
		"did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169": "P-256",
		"did:key:z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW":  "X25519",
		"did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme": "secp256k1",
	} {
		if _, err := did.Parse(text); err == nil || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: %v, want the kind %s named", text, err, kind)
		}
	}
}
