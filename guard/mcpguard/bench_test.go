package mcpguard_test

import (
	"context"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// discard acknowledges and keeps nothing.
type discard struct{ ack evidence.Ack }

func (d *discard) Record(context.Context, *evidence.Draft) (*evidence.Ack, error) { return &d.ack, nil }

// BenchmarkCallTool is what a guard adds to a call in memory, with a badge that was seen before, no call proof
// and nothing kept: in the same run, the same call without a guard.
func BenchmarkCallTool(b *testing.B) {
	for _, version := range []string{withSessions, withoutSessions} {
		b.Run(version, func(b *testing.B) {
			w := guardtest.New(b)
			guarded, plain := newServer(nil), newServer(nil)
			mcpguard.Protect(guarded, w.Guard(func(c *guard.Config) {
				c.AllowBearerUnsafe = true
				c.Evidence = &discard{evidence.Ack{ID: "3dba37bb-0871-4def-b95b-6655128dbe19"}}
			}))
			params := &mcp.CallToolParams{
				Meta: mcp.Meta{mcpwire.MetaBadge: w.Agent(badge.LevelDomain).Badge},
				Name: "c_level2", Arguments: map[string]any{"text": "hi"},
			}
			with, without := dialBench(b, guarded, version), dialBench(b, plain, version)
			var ours, theirs time.Duration
			for b.Loop() {
				theirs += timed(b, without, params)
				ours += timed(b, with, params)
			}
			b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "sdk-ns/op")
			b.ReportMetric(float64(ours)/float64(theirs), "x-sdk")
		})
	}
}

func dialBench(b *testing.B, s *mcp.Server, version string) *mcp.ClientSession {
	b.Helper()
	ours, theirs := mcp.NewInMemoryTransports()
	if _, err := s.Connect(b.Context(), ours, nil); err != nil {
		b.Fatal(err)
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := c.Connect(b.Context(), theirs, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { session.Close() })
	return session
}

func timed(b *testing.B, session *mcp.ClientSession, params *mcp.CallToolParams) time.Duration {
	b.Helper()
	p := *params
	start := time.Now()
	if _, err := session.CallTool(b.Context(), &p); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
