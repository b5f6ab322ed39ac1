package evidence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCommit compares the commitment to five flat arguments with its floor: one HMAC for a key and one under
// that key for each, as a commitment to members that cannot be opened further would need, and the canonical form.
func BenchmarkCommit(b *testing.B) {
	const members = 5
	p := args(`{"encoding":"utf-8","follow":true,"limit":4096,"offset":0,"path":"/data/report.txt"}`)
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		var salt Salt
		for b.Loop() {
			for _, text := range [][]byte{p.Arguments, p.InputResponses} {
				if _, err := canonicalObject(text); err != nil {
					b.Fatal(err)
				}
			}
			salted := hmac.New(sha256.New, salt[:])
			var sum, key Hash
			for range members {
				salted.Reset()
				salted.Write([]byte("touchmark/commitment/v1/member\narguments\nencoding"))
				salted.Sum(key[:0])
				h := hmac.New(sha256.New, key[:])
				h.Write([]byte(`["arguments","encoding","utf-8"]`))
				h.Sum(sum[:0])
			}
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Commit(Salt{}, p)
		}
	})
}

// BenchmarkCommitLarge is the most that a caller can make a server hash, and more that it cannot.
func BenchmarkCommitLarge(b *testing.B) {
	for name, text := range map[string]string{
		"values=1000":   strings.Repeat("0,", 999) + "0",
		"values=400000": strings.Repeat("0,", 399_999) + "0",
		"text=1MB":      `"` + strings.Repeat("x", 1<<20) + `"`,
		"nested":        strings.TrimSuffix(strings.Repeat(strings.Repeat("[", 30)+strings.Repeat("]", 30)+",", 32), ","),
	} {
		p := args(fmt.Sprintf(`{"a":[%s]}`, text))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Commit(Salt{}, p)
			}
		})
		b.Run(name+"/canonical", func(b *testing.B) {
			for b.Loop() {
				if _, err := canonicalObject(json.RawMessage(p.Arguments)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
