package vault

import (
	"fmt"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
)

// BenchmarkSeal seals private parts of the sizes that there are: a salt alone, with badge and proof, with parameters.
// What it costs a ledger is in BenchmarkLedgerRecordSealed of package evidence.
func BenchmarkSeal(b *testing.B) {
	cfg, _ := onDisk(b)
	v := mustOpen(b, cfg)
	for _, size := range []int{150, 2048, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			buf := make([]byte, evidence.SealedPrefix+size, size+128)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s, err := v.Sealer(noon)
				if err != nil {
					b.Fatal(err)
				}
				s.Seal(buf, 0, &journal, 7)
			}
		})
	}
}
