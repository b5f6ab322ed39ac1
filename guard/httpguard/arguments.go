package httpguard

import (
	"crypto/sha256"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// arguments are what of a request a policy sees and a call proof covers, beside its method (spec/guard.md section 13.1).
type arguments struct {
	Path   string          `json:"path"`
	Query  map[string]any  `json:"query,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Octets *octets         `json:"octets,omitempty"`
}

// octets stand for a body that is not JSON.
type octets struct {
	SHA256   string `json:"sha256"`
	Size     int    `json:"size"`
	Type     string `json:"type,omitempty"`
	Encoding string `json:"encoding,omitempty"`
}

// argumentsOf is the same for who calls and for who is called. It reports whether there is a body that is not JSON.
func argumentsOf(u *url.URL, h http.Header, body []byte) (text json.RawMessage, opaque bool, err *malformed) {
	a := &arguments{Path: u.Path}
	if a.Query, err = queryOf(u); err != nil {
		return nil, false, err
	}
	contentType, encoding := h.Get("Content-Type"), h.Get("Content-Encoding")
	switch {
	case len(body) == 0:
	case encoding == "" && isJSON(contentType):
		if strictjson.Validate(body) != nil {
			return nil, false, bad(CauseBody)
		}
		a.Body = body
	case !utf8.ValidString(contentType) || !utf8.ValidString(encoding):
		return nil, false, bad(CauseHeader)
	default:
		a.Octets = &octets{
			SHA256: evidence.Hash(sha256.Sum256(body)).String(), Size: len(body), Type: contentType, Encoding: encoding,
		}
	}
	text, failed := json.Marshal(a)
	if failed != nil || strictjson.Validate(text) != nil { // nested too deep
		return nil, false, bad(CauseBody)
	}
	return text, a.Octets != nil, nil
}

// queryOf returns the parameters of a query: a text for each, or a list of them for one that is given several times.
func queryOf(u *url.URL) (map[string]any, *malformed) {
	if u.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, bad(CauseQuery)
	}
	query := make(map[string]any, len(values))
	for name, all := range values {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(all, "")) {
			return nil, bad(CauseQuery)
		}
		if query[name] = all; len(all) == 1 {
			query[name] = all[0]
		}
	}
	return query, nil
}

// isJSON reports whether a media type is JSON, in the one charset that JSON has.
func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset, ok := params["charset"]
	return (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) &&
		(!ok || strings.EqualFold(charset, "utf-8"))
}
