// Package explorer is a page that verifies a record in the browser: that its server signed it, and that a log has it
// (spec/receipt.md section 11). [Page] returns the page, one file without anything beside it; [Handler] serves it.
//
// What the page decides with is in page/*.mjs but for ui.mjs, which shows it. It shares no code with the packages
// evidence and translog, and is held to the same test vectors.
package explorer

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

//go:embed page
var files embed.FS

// scripts are the parts of the script, each behind those that it imports.
var scripts = [...]string{
	"text", "json", "ed25519", "policy", "checkpoint", "proof", "members", "forms", "rules", "decision", "record", "entry", "did",
	"verify", "ui",
}

// A document is the page and the policy that it is to be served under.
type document struct {
	page   []byte
	policy string
}

// assembled is made once: the page is the same for ever.
var assembled = sync.OnceValue(assemble)

// Page returns the page, to be opened from a file or served. It is the same octets on every call, and the caller's own.
func Page() []byte { return bytes.Clone(assembled().page) }

// Handler serves the page at whatever path it is mounted at, under a policy that lets it run its own script and reach
// nothing. A browser has the cryptography that it needs only over HTTPS or on localhost; elsewhere the page says so.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page is read with GET", http.StatusMethodNotAllowed)
		return
	}
	doc := assembled()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(doc.page)))
	h.Set("Content-Security-Policy", doc.policy+"; frame-ancestors 'none'") // a page cannot say this itself
	h.Set("Cache-Control", "no-cache")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(doc.page) // who hung up has no use for an error; net/http drops it for HEAD
}

// module matches what makes modules of the parts of the script: lines of imports, also those that are broken, and the
// word before what a part exports.
var module = regexp.MustCompile(`(?m)^import \{[^}]*\} from "\./[a-z0-9]+\.mjs";\n|^export `)

func assemble() document {
	var script strings.Builder
	for _, name := range scripts {
		script.WriteString(module.ReplaceAllString(read(name+".mjs"), ""))
	}
	style := read("page.css")
	policy := "default-src 'none'; script-src " + sourceHash(script.String()) + "; style-src " + sourceHash(style) +
		"; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	// One pass: what is put in is not looked through.
	page := strings.NewReplacer("{{csp}}", policy, "{{style}}", style, "{{script}}", script.String()).Replace(read("page.html"))
	return document{page: []byte(page), policy: policy}
}

// sourceHash is how a Content-Security-Policy names an inline script or style.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func read(name string) string {
	data, err := files.ReadFile("page/" + name)
	if err != nil {
		panic("explorer: internal error: " + err.Error()) // a name above that is not in the directory
	}
	return string(data)
}
