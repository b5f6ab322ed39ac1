package explorer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/peers"
	"github.com/touchmark-dev/touchmark/translog/explorer"
)

var (
	inlineScript = regexp.MustCompile(`(?s)<script type="module">(.*)</script>`)
	inlineStyle  = regexp.MustCompile(`(?s)<style>(.*)</style>`)
	metaPolicy   = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`)
)

// part returns what the pattern finds in the page, which has it once.
func part(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	found := pattern.FindAllSubmatch(explorer.Page(), -1)
	if len(found) != 1 {
		t.Fatalf("%v is found %d times", pattern, len(found))
	}
	return string(found[0][1])
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// TestPolicy: the policy in the page names the script and the style that are in it, and lets nothing else in or out.
func TestPolicy(t *testing.T) {
	want := "default-src 'none'; script-src " + hashOf(part(t, inlineScript)) + "; style-src " + hashOf(part(t, inlineStyle)) +
		"; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	if got := html.UnescapeString(part(t, metaPolicy)); got != want {
		t.Errorf("policy\n%s\nwant\n%s", got, want)
	}
}

// TestSelfContained: one file, which names no address and writes no markup.
func TestSelfContained(t *testing.T) {
	page := explorer.Page()
	for _, bad := range []string{
		"{{", "http:", "https:", " src=", "@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(",
		"XMLHttpRequest", "WebSocket", "import ", "import(", "\nexport ", "</script></", "localStorage", "onclick",
	} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.Contains(strings.ToLower(part(t, inlineScript)), "</script") || len(page) > 100<<10 {
		t.Errorf("%d bytes", len(page))
	}
	page[0] = 'x'
	if explorer.Page()[0] == 'x' {
		t.Error("Page returns what others are given, too")
	}
}

// TestEveryPartIsIn: the parts of the script are all in, in an order in which each finds what it uses, and no two of them
// declare one name.
func TestEveryPartIsIn(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("page", "*.mjs"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	script := part(t, inlineScript)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(text), "\n"); !strings.Contains(script, first) {
			t.Errorf("%s is not in the page", name)
		}
	}
	file := filepath.Join(t.TempDir(), "script.mjs")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), peers.Node(t), "--check", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestHandler(t *testing.T) {
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405} {
		w := httptest.NewRecorder()
		explorer.Handler().ServeHTTP(w, httptest.NewRequest(method, "/verify", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
		if want != http.StatusOK {
			continue
		}
		policy := html.UnescapeString(part(t, metaPolicy)) + "; frame-ancestors 'none'"
		for name, value := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", method, name, got, value)
			}
		}
		if method == http.MethodGet && !bytes.Equal(w.Body.Bytes(), explorer.Page()) {
			t.Error("another page is served")
		}
	}
}
