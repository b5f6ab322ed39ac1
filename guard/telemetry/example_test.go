package telemetry_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

func Example() {
	ctx := context.Background()
	t, err := telemetry.New(ctx, &telemetry.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close(ctx)
	g, err := guard.New(&guard.Config{Policy: guard.UnsafeAllowAll{}, Evidence: guardtest.NewRecorder(), Observer: t})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := g.Check(ctx, guardtest.Call("read_file", `{}`)); err != nil {
		log.Fatal(err)
	}

	page := httptest.NewRecorder() // in place of Prometheus
	t.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range strings.Split(page.Body.String(), "\n") {
		if strings.HasPrefix(line, "touchmark_guard_decisions_total{") {
			fmt.Println(line)
		}
	}
	// Output: touchmark_guard_decisions_total{capability="tool",code="",decision="allow",verb="invoke"} 1
}

func ExampleNewLogHandler() {
	plain := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	logger := slog.New(telemetry.NewLogHandler(plain))
	logger.Info("asked", "badge", "eyJhbGciOiJFZERTQSJ9.e30.c2ln", "kind", evidence.Deny, "header", "Authorization: Bearer c2VjcmV0LXRva2Vu")
	// Output: level=INFO msg=asked badge=[redacted] kind=deny header="Authorization: Bearer [redacted]"
}
