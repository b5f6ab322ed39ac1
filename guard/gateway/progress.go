package gateway

import (
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// follow lets the upstream say how a call gets on, by the token that its caller gave, until the function is called that
// is returned. Of a call whose result is measured it may say nothing: what it said would not be.
func (g *Gateway) follow(params object, c *guard.Constraints) (stop func()) {
	meta, err := params.child("_meta")
	token, ok := progressToken(meta)
	if err != nil || !ok || c != nil && c.MaxResultBytes > 0 {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.progress[token]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.progress[token]--; g.progress[token] == 0 {
			delete(g.progress, token)
		}
	}
}

// follows reports whether a notification of the upstream is about a call whose caller wants to hear of it.
func (g *Gateway) follows(params object) bool {
	token, ok := progressToken(params)
	g.mu.Lock()
	defer g.mu.Unlock()
	return ok && g.progress[token] > 0
}

// progressToken returns a token, a string or a number, in one form.
func progressToken(of object) (string, bool) {
	raw := string(of["progressToken"])
	var text string
	switch {
	case raw == "":
	case raw[0] == '"' && strictjson.Unmarshal(of["progressToken"], &text) == nil:
		return "text " + text, true
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return "number " + raw, true
	}
	return "", false
}
