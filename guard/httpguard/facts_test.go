package httpguard_test

import (
	"net/http"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// TestTenantRecorded: whom the server is used for is what its operator says, in all records of decisions.
func TestTenantRecorded(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", func(http.ResponseWriter, *http.Request) {})
	r := serve(t, mux, httpguard.Options{
		Routes: []httpguard.Route{{Pattern: "GET /x", Level: badge.LevelRegistered}}, Facts: guard.Facts{Tenant: "acme"},
	})
	r.do(badge.LevelDomain, "GET", "/x", "")
	r.do(badge.LevelNone, "GET", "/x", "")
	r.do(badge.LevelDomain, "GET", "/missing", "")
	decisions := r.Recorder.Decisions()
	if len(decisions) < 3 {
		t.Fatalf("%d decisions", len(decisions))
	}
	for _, d := range decisions {
		if d.Tenant != "acme" {
			t.Errorf("recorded %+v", d)
		}
	}
}
