package translog

import (
	"bytes"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
)

func TestLeafHashIsThatOfRFC6962(t *testing.T) {
	for _, n := range []int{0, 1, 62, 63, 64, 1000} {
		entry := bytes.Repeat([]byte{7}, n)
		if got := LeafHash(entry); !bytes.Equal(got[:], rfc6962.DefaultHasher.HashLeaf(entry)) {
			t.Errorf("another hash of %d bytes", n)
		}
	}
}
