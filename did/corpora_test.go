package did_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

// corpora is where the public test data lies, if it is there: beside the
// repository.
var corpora = filepath.Join("..", "..", "shared", "corpora")

// corpus returns the files of one corpus, or skips the test.
func corpus(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(corpora, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no public test data at %s", filepath.Join(corpora, pattern))
	}
	files := make(map[string][]byte)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = data
	}
	return files
}

// walk calls f for every value in a JSON text, member names included. Texts
// within strings are walked too: the test suites keep documents that way.
func walk(t *testing.T, data []byte, f func(v any)) {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var visit func(v any)
	visit = func(v any) {
		f(v)
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				f(name)
				visit(member)
			}
		case []any:
			for _, element := range v {
				visit(element)
			}
		case string:
			var inner map[string]any
			if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
				visit(inner)
			}
		}
	}
	visit(v)
}

func TestCorpusDIDKey(t *testing.T) {
	parsed, refused := 0, 0
	for name, data := range corpus(t, "did-key/*.json") {
		walk(t, data, func(v any) {
			text, ok := v.(string)
			if !ok || !strings.HasPrefix(text, "did:key:") || strings.ContainsAny(text, "#?/;") {
				return
			}
			d, err := did.Parse(text)
			if !strings.HasPrefix(text, "did:key:z6Mk") {
				if err == nil || len(text) < 500 && !strings.Contains(err.Error(), "holds a") {
					t.Errorf("%s: %s: %v, want the kind of its key refused", name, text, err)
				}
				refused++
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			key, err := d.PublicKey()
			if err != nil || did.FromKey(key) != d {
				t.Errorf("%s: %s: key %x, %v", name, d, key, err)
			}
			parsed++
		})
	}
	t.Logf("%d parsed, %d refused", parsed, refused)
	if parsed == 0 || refused == 0 {
		t.Error("the corpus has not both")
	}
}

func TestCorpusDIDKeySeeds(t *testing.T) {
	for _, data := range corpus(t, "did-key/ed25519-x25519.json") {
		var cases map[string]struct{ Seed string }
		if err := json.Unmarshal(data, &cases); err != nil {
			t.Fatal(err)
		}
		for want, c := range cases {
			seed, err := hex.DecodeString(c.Seed)
			if err != nil {
				t.Fatal(err)
			}
			key := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
			if got := did.FromKey(key); got.String() != want {
				t.Errorf("seed %x: %s, want %s", seed, got, want)
			}
		}
	}
}

// checkCorpusDocument reads a document as its DID's, and compares the keys that
// it reads of a did:key with the key that the DID is.
func checkCorpusDocument(t *testing.T, name string, v any) (methods int) {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		return 0
	}
	id, ok := object["id"].(string)
	d, err := did.Parse(id)
	if !ok || err != nil || object["type"] != nil {
		return 0
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := did.ParseDocument(text, d)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return 0
	}
	if d.Method() == did.MethodKey {
		key, err := d.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range doc.Methods {
			if !m.Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
				t.Errorf("%s: %s has another key than its DID", name, m.ID)
			}
		}
	}
	return len(doc.Methods)
}

func TestCorpusDocuments(t *testing.T) {
	methods := 0
	for _, pattern := range []string{"did-key/*.json", "did-web/*.json"} {
		for name, data := range corpus(t, pattern) {
			walk(t, data, func(v any) { methods += checkCorpusDocument(t, name, v) })
		}
	}
	t.Logf("%d methods read", methods)
	if methods == 0 {
		t.Error("no method was read")
	}
}

func TestCorpusDIDWeb(t *testing.T) {
	invalid := map[string]bool{
		"did:web::$_222": true, // the suite says invalidDid
		"did:web:123":    true, // the suite says notFound; we say that it is no host name
	}
	parsed := 0
	for name, data := range corpus(t, "did-web/*.json") {
		walk(t, data, func(v any) {
			text, ok := v.(string)
			if !ok || !strings.HasPrefix(text, "did:web:") || strings.ContainsAny(text, "#?/;") {
				return
			}
			d, err := did.Parse(text)
			if invalid[text] {
				if err == nil {
					t.Errorf("%s: %s is accepted", name, text)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			u, err := d.DocumentURL()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := did.FromDocumentURL(u); err != nil || back != d {
				t.Errorf("%s: %s became %s, %v", name, u, back, err)
			}
			parsed++
		})
	}
	t.Logf("%d parsed", parsed)
}

// rows reads a table of the multiformats, whose cells are padded with spaces.
func rows(t *testing.T, data []byte) [][]string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(string(data)))
	r.TrimLeadingSpace = true
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCorpusMultibase(t *testing.T) {
	for _, file := range []string{"basic.csv", "leading_zero.csv", "two_leading_zeros.csv"} {
		for name, data := range corpus(t, filepath.Join("multiformats", file)) {
			all := rows(t, data)
			want, err := strconv.Unquote(`"` + all[0][1] + `"`)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range all[1:] {
				if row[0] != "base58btc" {
					continue
				}
				got, err := did.DecodeBase58(row[1][1:])
				if err != nil || string(got) != want || row[1] != "z"+did.EncodeBase58([]byte(want)) {
					t.Errorf("%s: %q, %v, want %q", name, got, err, want)
				}
			}
		}
	}
}

func TestCorpusMulticodec(t *testing.T) {
	codes := map[string]string{
		"ed25519-pub": "0xed", "p256-pub": "0x1200", "x25519-pub": "0xec", "secp256k1-pub": "0xe7", "p384-pub": "0x1201",
		"p521-pub": "0x1202", "rsa-pub": "0x1205", "bls12_381-g2-pub": "0xeb",
	}
	for _, data := range corpus(t, filepath.Join("multiformats", "multicodec-table.csv")) {
		for _, row := range rows(t, data) {
			if want, ok := codes[row[0]]; ok {
				if row[2] != want {
					t.Errorf("%s is %s in the table, want %s", row[0], row[2], want)
				}
				delete(codes, row[0])
			}
		}
	}
	if len(codes) > 0 {
		t.Errorf("not in the table: %v", codes)
	}
}
