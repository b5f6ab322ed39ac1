package did

import (
	"context"
	"net/netip"
)

var (
	EncodeMultikey = encodeMultikey
	EncodeBase58   = encodeBase58
	DecodeBase58   = decodeBase58
)

const (
	CodecEd25519 = codecEd25519
	CodecP256    = codecP256
	MaxFetches   = maxFetches
	MaxFlights   = maxFlights
)

func (c *ResolverConfig) SetLookup(f func(ctx context.Context, host string) ([]netip.Addr, error)) {
	c.testOnlyLookup = f
}
