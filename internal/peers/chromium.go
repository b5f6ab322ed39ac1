package peers

import (
	"os"
	"os/exec"
	"testing"
)

// Chromium returns the Chromium, or the Chrome, in PATH. Where it cannot be had, TOUCHMARK_WITHOUT_CHROMIUM skips its
// tests also when peers are required.
func Chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	if os.Getenv("TOUCHMARK_WITHOUT_CHROMIUM") != "" {
		t.Skip("TOUCHMARK_WITHOUT_CHROMIUM is set; run: apt-get install chromium")
	}
	missing(t, "Chromium", "apt-get install chromium")
	return ""
}
