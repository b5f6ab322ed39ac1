package evidence

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

func TestTimesAreWrittenInFull(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(1_800_000_000, 7), time.Unix(1_800_000_000, 120_000_000), time.Unix(1_800_000_000, 999_999_999),
		time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC), time.Date(2027, 2, 3, 4, 5, 6, 7_000, time.FixedZone("", 5400)),
	} {
		if got, want := string(appendTime([]byte("x"), at)), "x"+at.UTC().Format(timeLayout); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestHashText(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 1024, 5000} {
		text := strings.Repeat("0123456789abcde", n/15+1)[:n]
		if hashText(text) != Hash(sha256.Sum256([]byte(text))) {
			t.Errorf("another hash of %d bytes", n)
		}
	}
}
