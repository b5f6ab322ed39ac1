package explorer_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/explorer"
)

// A shown is what the page shows.
type shown struct {
	Hidden  bool
	Verdict string
	Code    string
	Focus   string   // id of what has the focus
	Checks  []string // one line for each check
	Shown   []string
	Unshown []string
	Members []string // one line for each member, a tab between name and value
	Note    string
	Inside  int  // elements in the cells of members: text has none
	Script  bool // a script of the record's has run
}

const readPage = `(() => {
  const texts = (q) => [...document.querySelectorAll(q)].map((e) => e.textContent);
  const rows = (q) => [...document.querySelectorAll(q)].map((tr) => [...tr.cells].map((c) => c.textContent).join("\t"));
  return {
    hidden: document.getElementById("result").hidden,
    verdict: document.getElementById("verdict").dataset.verdict ?? "", code: document.getElementById("verdict").dataset.code ?? "",
    focus: document.activeElement.id, checks: rows("#checks tbody tr"), shown: texts("#shown li"), unshown: texts("#unshown li"),
    members: document.getElementById("record-part").hidden ? [] : rows("#members tbody tr"), note: texts("#record-note")[0],
    inside: document.querySelectorAll("#members tbody td *, #members tbody th *").length, script: globalThis.ran !== undefined,
  };
})()`

func (p *tab) read() (s shown) {
	p.t.Helper()
	p.evaluate(readPage, &s)
	return s
}

// paste puts text into a field as a person does, who also clears what was there.
func (p *tab) paste(field string, text []byte) {
	p.t.Helper()
	p.evaluate(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %s; e.dispatchEvent(new Event("input")); }`, field, quoteJS(p.t, text)), nil)
}

// verify presses Enter on the button, and waits for the verdict.
func (p *tab) verify() shown {
	p.t.Helper()
	p.evaluate(`document.getElementById("verify").focus()`, nil)
	p.key("Enter")
	p.until(`document.activeElement.id === "result-title" && !document.getElementById("verify").disabled`)
	return p.read()
}

func quoteJS(t *testing.T, text []byte) string {
	t.Helper()
	quoted, err := json.Marshal(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

const markup = `<img src=x onerror="ran=1"><script>ran=2</script>`

// TestBrowser drives the page in a browser: opened from a file, with files chosen, text pasted and files dropped.
func TestBrowser(t *testing.T) {
	good, hostile := newWorld(t, "reads", true, ""), newWorld(t, markup, false, "\u202e</td></table>"+markup)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	page := "file://" + write("verify.html", explorer.Page())
	p := openTab(t)

	p.navigate(page)
	if s := p.read(); !s.Hidden || s.Verdict != "" {
		t.Errorf("before anything was given: %+v", s)
	}
	for field, data := range map[string][]byte{"entry": good.entry, "proof": good.proof, "policy": good.policy, "document": good.document} {
		p.choose(field+"-file", write(field, data))
		p.until(fmt.Sprintf(`document.getElementById("%s-from").textContent.includes("%d bytes")`, field, len(data)))
	}
	s := p.verify()
	if s.Verdict != "accepted" || s.Code != "" || s.Hidden || len(s.Checks) != 2 || len(s.Shown) != 2 ||
		!strings.Contains(s.Shown[0], `"log.example/world" has signed a tree of 3 entries, of which this is number 1`) ||
		!strings.Contains(s.Unshown[0], "no witness") || !slices.Contains(s.Members, "rule\t\"reads\"") || !slices.Contains(s.Members, "seq\t1") {
		t.Errorf("an accepted record: %+v", s)
	}

	p.paste("entry", []byte(strings.Replace(string(good.entry), `"reads"`, `"write"`, 1)))
	if !p.read().Hidden {
		t.Error("a verdict stands beside what it is not about")
	}
	s = p.verify()
	if s.Verdict != "rejected" || s.Code != "LOG_INCLUSION_INVALID" || len(s.Shown) != 1 || s.Shown[0] != "Nothing." ||
		!strings.Contains(s.Checks[1], "EVIDENCE_SIGNATURE_INVALID") || !strings.Contains(s.Note, "nothing in it may be believed") {
		t.Errorf("a changed record: %+v", s)
	}
	p.paste("document", nil)
	p.paste("entry", good.entry)
	if s = p.verify(); s.Verdict != "undetermined" || s.Code != "" {
		t.Errorf("without a document: %+v", s)
	}

	p.navigate(page)
	p.drop(map[string][]byte{"a": hostile.entry, "b": hostile.proof, "c": hostile.policy})
	p.until(`["entry", "proof", "policy"].every((f) => document.getElementById(f).value !== "")`)
	s = p.verify()
	rule, bidi := "rule\t"+`"<img src=x onerror=\"ran=1\"><script>ran=2</script>"`, `zz_note	"\u{202e}</td></table>`
	if s.Verdict != "accepted" || s.Inside != 0 || s.Script || !slices.Contains(s.Members, rule) ||
		!slices.ContainsFunc(s.Members, func(m string) bool { return strings.HasPrefix(m, bidi) }) ||
		!strings.Contains(s.Unshown[len(s.Unshown)-1], "zz_note") {
		t.Errorf("a hostile record: %+v", s)
	}
	p.paste("policy", []byte(hostile.vkey))
	if s = p.verify(); s.Verdict != "accepted" {
		t.Errorf("with the key alone: %+v", s)
	}
	p.wantQuiet(page)
}

// TestBrowserServed: under the headers of the handler the page is the same, and reaches nothing.
func TestBrowserServed(t *testing.T) {
	server := httptest.NewServer(explorer.Handler())
	defer server.Close()
	w := newWorld(t, "reads", false, "")
	p := openTab(t)
	p.navigate(server.URL + "/verify")
	p.paste("entry", w.entry)
	p.paste("proof", w.proof)
	p.paste("policy", w.policy)
	if s := p.verify(); s.Verdict != "accepted" {
		t.Errorf("%+v", s)
	}
	p.wantQuiet(server.URL + "/verify")
	for _, script := range []string{`fetch("/").then(() => true, () => false)`, `new Promise((yes) => {
  const i = new Image(); i.onload = () => yes(true); i.onerror = () => yes(false); i.src = "/x.png"; })`} {
		var reached bool
		if p.evaluate(script, &reached); reached {
			t.Errorf("the page reached something with %s", script)
		}
	}
}
