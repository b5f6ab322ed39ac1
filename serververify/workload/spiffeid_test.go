package workload_test

import (
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
)

// TestSPIFFEIDOfBadges: package badge, which knows nothing of SPIFFE's library, takes for the SPIFFE ID of a workload
// what that library does, which only lets trust domains be longer than the standard does.
func TestSPIFFEIDOfBadges(t *testing.T) {
	agent := badgetest.NewAgent(t)
	all := []string{
		"spiffe://a/b", "spiffe://a/b/c", "spiffe://a.b-c_d/E.f-g_h", "spiffe://a", "spiffe://a/", "spiffe:///b", "spiffe://a//b",
		"spiffe://a/b/", "spiffe://a/./b", "spiffe://a/../b", "spiffe://a/...", "spiffe://a/.b", "spiffe://a:1/b", "spiffe://u@a/b",
		"spiffe://a/b?c", "spiffe://a/b#c", "SPIFFE://a/b", "Spiffe://a/b", "spiffe:/a/b", "https://a/b", "a/b",
		"spiffe://" + strings.Repeat("a", 255) + "/b", "spiffe://1.2.3.4/b", "spiffe://[::1]/b",
	}
	for c := range 256 {
		all = append(all, "spiffe://a"+string(rune(c))+"/b", "spiffe://a/b"+string(rune(c)), "spiffe://a/b"+string([]byte{byte(c)})+"c")
	}
	for _, text := range all {
		_, err := badge.SelfSign(agent.Key, &badge.Template{SPIFFEID: text})
		id, perr := spiffeid.FromString(text)
		if want := perr == nil && id.Path() != ""; (err == nil) != want {
			t.Errorf("%q: badge says %v, and go-spiffe %q, %v", text, err, id, perr)
		}
	}
}
