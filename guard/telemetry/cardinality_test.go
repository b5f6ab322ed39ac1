package telemetry_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// maxSeries bounds what a guard has, however many names callers make up.
const maxSeries = 2500

// TestCardinality: no caller and no adapter makes more series than there are words.
func TestCardinality(t *testing.T) {
	tel := newTelemetry(t, &telemetry.Config{Tools: []string{"a", "b"}})
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string { return fmt.Sprintf("%x\xff\n\"{}", rng.Uint64()) }
	for range 10_000 {
		r := &guard.Request{
			Verb: guard.Verb(rng.IntN(5)), Method: text(), Capability: guard.Capability{Kind: guard.Kind(text()), Name: text()},
			Transport: text(), RequestID: text(), TraceParent: text(), TraceState: text(),
		}
		if rng.IntN(2) == 0 {
			r.Method, r.Capability.Kind = "tools/call", guard.KindTool
		}
		o := tel.Begin(t.Context(), r)
		o.Decided(&guard.Decided{
			Allowed: rng.IntN(2) == 0, Shadow: rng.IntN(2) == 0, Kind: evidence.DecisionKind(text()), Code: guard.Code(text()),
			Cause: text(), Rule: text(), PolicyVersion: text(), Capability: r.Capability, Actor: guard.Actor(text()),
			Shadowed: guard.ShadowAnswer{Rule: text(), Kind: evidence.DecisionKind(text())}, EvidenceID: text(),
		})
		o.Finished(&guard.Outcome{}, text(), time.Duration(rng.Int64()))
	}
	m := scrape(t, tel)
	check(t, m)
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(m)); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			n++
		}
	}
	if n > maxSeries {
		t.Errorf("%d series, of at most %d", n, maxSeries)
	}
	t.Logf("%d series", n)
}
