package cedar_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkDecide is one decision by so many policies, of which one is about the tool, beside one Ed25519 verification.
func BenchmarkDecide(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		f, err := floor.NewEd25519(600)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := f.Verify(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("policies-%d", n), func(b *testing.B) {
			var text strings.Builder
			for i := range n - 1 {
				fmt.Fprintf(&text, "@id(\"p%d\") @min_level(\"2\") permit (principal is Agent, action, resource == Tool::\"t%d\");\n", i, i)
			}
			text.WriteString(`@id("last") @anonymous("true") permit (principal, action, resource == Tool::"t")
				when { context.arguments.path like "/data/*" && context.arguments.limit <= 100 };`)
			p, err := cedar.Parse([]byte(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			c := tool(`{"path":"/data/reports/a","limit":10}`)
			b.ReportAllocs()
			for b.Loop() {
				if d, err := p.Try(c); err != nil || d.Rule != "last" {
					b.Fatalf("%+v, %v", d, err)
				}
			}
		})
	}
}
