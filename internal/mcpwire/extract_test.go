package mcpwire

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

const (
	badgeA = "eyJh.eyJi.c2ln"
	badgeB = "eyJh.eyJi.c2lo"
	hopA   = "eyJo.eyJw.c2ln"
	txnA   = "0198f3c0-0000-7000-8000-000000000001"
)

var nonceA = EncodeNonce([NonceBytes]byte{1, 2, 3})

func header(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

func TestExtract(t *testing.T) {
	all := Presented{badgeA, hopA, txnA, nonceA}
	for _, tt := range []struct {
		name string
		h    http.Header
		meta map[string]any
		want Presented
	}{
		{"nothing", nil, nil, Presented{}},
		{"headers", header("x-capiscio-badge", badgeA, "X-Capiscio-Hop", hopA, "X-Capiscio-Txn", txnA, "Touchmark-Nonce", nonceA), nil, all},
		{"meta", nil, map[string]any{MetaBadge: badgeA, MetaHop: hopA, MetaTxn: txnA, MetaNonce: nonceA, "other": 1.0}, all},
		{"bearer", header("Authorization", "bearer "+badgeA), nil, Presented{Badge: badgeA}},
		{"basic beside", header("Authorization", "Basic eA==", HeaderBadge, badgeA), nil, Presented{Badge: badgeA}},
		{"both agree", header(HeaderBadge, badgeA, HeaderHop, hopA), map[string]any{MetaBadge: badgeA, MetaTxn: txnA}, Presented{Badge: badgeA, Hop: hopA, Txn: txnA}},
		{"bearer and meta agree", header("Authorization", "Bearer "+badgeA), map[string]any{MetaBadge: badgeA}, Presented{Badge: badgeA}},
	} {
		got, err := Extract(tt.h, tt.meta)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
}

func TestExtractRefuses(t *testing.T) {
	long := strings.Repeat("a", MaxTokenBytes) + ".b.c"
	for _, tt := range []struct {
		name string
		h    http.Header
		meta map[string]any
		at   string
	}{
		{"badge and bearer", header(HeaderBadge, badgeA, "Authorization", "Bearer "+badgeA), nil, HeaderBadge},
		{"badge twice", header(HeaderBadge, badgeA, HeaderBadge, badgeA), nil, HeaderBadge},
		{"badge in two spellings", http.Header{"X-Capiscio-Badge": {badgeA}, "x-capiscio-badge": {badgeB}}, nil, HeaderBadge},
		{"authorization twice", header("Authorization", "Bearer "+badgeA, "Authorization", "Basic eA=="), nil, "Authorization"},
		{"bearer empty", header("Authorization", "Bearer"), nil, "Authorization"},
		{"bearer two spaces", header("Authorization", "Bearer  "+badgeA), nil, "Authorization"},
		{"badge empty", header(HeaderBadge, ""), nil, HeaderBadge},
		{"badge with space", header(HeaderBadge, badgeA+" "), nil, HeaderBadge},
		{"badge list", header(HeaderBadge, badgeA+","+badgeB), nil, HeaderBadge},
		{"badge of two parts", header(HeaderBadge, "a.b"), nil, HeaderBadge},
		{"badge of five parts", header(HeaderBadge, "a.b.c.d.e"), nil, HeaderBadge},
		{"badge long", header(HeaderBadge, long), nil, HeaderBadge},
		{"hop twice", header(HeaderHop, hopA, HeaderHop, hopA), nil, HeaderHop},
		{"txn empty", header(HeaderTxn, ""), nil, HeaderTxn},
		{"txn long", header(HeaderTxn, strings.Repeat("a", MaxTxnBytes+1)), nil, HeaderTxn},
		{"txn control", nil, map[string]any{MetaTxn: "a\nb"}, MetaTxn},
		{"txn non-ascii", nil, map[string]any{MetaTxn: "ä"}, MetaTxn},
		{"meta badge number", nil, map[string]any{MetaBadge: 1.0}, MetaBadge},
		{"meta badge null", nil, map[string]any{MetaBadge: nil}, MetaBadge},
		{"meta badge empty", nil, map[string]any{MetaBadge: ""}, MetaBadge},
		{"meta nonce short", nil, map[string]any{MetaNonce: "AAAA"}, MetaNonce},
		{"badge differs", header(HeaderBadge, badgeA), map[string]any{MetaBadge: badgeB}, MetaBadge},
		{"bearer differs", header("Authorization", "Bearer "+badgeA), map[string]any{MetaBadge: badgeB}, MetaBadge},
		{"txn differs", header(HeaderTxn, txnA), map[string]any{MetaTxn: txnA + "x"}, MetaTxn},
		{"hop differs", header(HeaderHop, hopA), map[string]any{MetaHop: badgeB}, MetaHop},
	} {
		got, err := Extract(tt.h, tt.meta)
		var e *Error
		if !errors.As(err, &e) || e.Name != tt.at || got != (Presented{}) {
			t.Errorf("%s: got %+v, %v; want a refusal of %s", tt.name, got, err, tt.at)
			continue
		}
		if strings.Contains(err.Error(), badgeA) || strings.Contains(err.Error(), badgeB) {
			t.Errorf("%s: error shows the token: %v", tt.name, err)
		}
	}
}

func TestAllowAuthorizationBeside(t *testing.T) {
	h := header(HeaderBadge, badgeA, "Authorization", "Bearer opaque-access-token")
	got, err := Rules{AllowAuthorizationBeside: true}.Extract(h, nil)
	if err != nil || got.Badge != badgeA {
		t.Fatalf("got %+v, %v", got, err)
	}
	h = header("Authorization", "Bearer "+badgeB) // a token of another layer, that only looks like a badge
	if got, err := (Rules{AllowAuthorizationBeside: true}).Extract(h, nil); err != nil || got != (Presented{}) {
		t.Errorf("a token of another layer was taken for %+v, %v", got, err)
	}
	got, err = Rules{AllowAuthorizationBeside: true}.Extract(h, map[string]any{MetaBadge: badgeA})
	if err != nil || got.Badge != badgeA {
		t.Errorf("beside a token of another layer the badge in _meta is %+v, %v", got, err)
	}
}

func TestNonceHasOneForm(t *testing.T) {
	n, err := DecodeNonce(nonceA)
	if err != nil || EncodeNonce(n) != nonceA {
		t.Fatalf("round trip: %v", err)
	}
	for _, s := range []string{"", nonceA + "=", nonceA[:42], nonceA + "A", nonceA[:41] + "\r\n", nonceA[:42] + "B", nonceA[:42] + "+", " " + nonceA[1:]} {
		if _, err := DecodeNonce(s); err == nil {
			t.Errorf("accepted %q", s)
		}
	}
}

// A map decoded by any JSON library either yields what stands in it or an error.
func FuzzFromMeta(f *testing.F) {
	f.Add([]byte(`{"dev.touchmark/badge":"a.b.c","capiscio_txn":"x"}`))
	f.Add([]byte(`{"dev.touchmark/nonce":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var meta map[string]any
		if json.Unmarshal(data, &meta) != nil {
			return
		}
		p, err := FromMeta(meta)
		if err != nil && p != (Presented{}) {
			t.Fatalf("values beside an error: %+v", p)
		}
		if p.Nonce != "" {
			if _, err := DecodeNonce(p.Nonce); err != nil {
				t.Fatal(err)
			}
		}
	})
}
