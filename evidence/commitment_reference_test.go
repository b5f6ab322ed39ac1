package evidence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jcs"
)

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sha(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "")))
	return string(sum[:])
}

func mustCanonical(v any) string {
	text, err := jcs.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// referenceRoot is a second opinion, from the words of spec/evidence.md section 4.1 and for small parameters alone.
func referenceRoot(salt Salt, arguments, responses map[string]any) Hash {
	key := func(part string) []byte { return hmacOf(salt[:], "touchmark/commitment/v1/part\n"+part) }
	root := sha("touchmark/commitment/v1/root\n",
		referenceValue(key("arguments"), `"arguments"`, arguments), referenceValue(key("input_responses"), `"input_responses"`, responses))
	return Hash([]byte(root))
}

func referenceValue(key []byte, step string, v any) string {
	var leaves []string
	child := func(step string, v any) { leaves = append(leaves, referenceValue(hmacOf(key, step), step, v)) }
	kind := "{"
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			child(mustCanonical(name), value)
		}
		slices.Sort(leaves)
	case []any:
		kind = "["
		for i, value := range v {
			child(fmt.Sprint(i), value)
		}
	default:
		return sha("touchmark/commitment/v1/leaf\n", string(key), step, ":", mustCanonical(v))
	}
	depth := bits.Len(uint(len(leaves)))
	return sha("touchmark/commitment/v1/node\n", kind, string(rune(depth)), referenceTop(key, kind, leaves, depth), step)
}

// referenceTop splits the places in halves, from the top.
func referenceTop(key []byte, kind string, leaves []string, depth int) string {
	switch {
	case len(leaves) == 0:
		return string(hmacOf(key, fmt.Sprintf("pad %d", depth)))
	case depth == 0:
		return leaves[0]
	}
	half := min(1<<(depth-1), len(leaves))
	a, b := referenceTop(key, kind, leaves[:half], depth-1), referenceTop(key, kind, leaves[half:], depth-1)
	if kind == "{" && a > b {
		a, b = b, a
	}
	return sha("touchmark/commitment/v1/inner\n", a, b)
}

func TestCommitmentByHand(t *testing.T) {
	salt := Salt{7}
	wide := make(map[string]any)
	for n := range 40 {
		var list []any
		for i := range n {
			list = append(list, float64(i))
			wide[fmt.Sprintf("n%d", i)] = []any{}
		}
		for _, arguments := range []map[string]any{wide, {"list": list, "pin": 1234.0}, {"€\"~/\n": map[string]any{"": nil, "0": true}}} {
			p := &Params{Arguments: json.RawMessage(mustCanonical(arguments)), InputResponses: json.RawMessage(`{"pin" : "x"}`)}
			got, form := Commit(salt, p)
			if want := referenceRoot(salt, arguments, map[string]any{"pin": "x"}); got != want || form != ParamsTree {
				t.Fatalf("%s: got %s (%s), want %s", p.Arguments, got, form, want)
			}
		}
	}
}
