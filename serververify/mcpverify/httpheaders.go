package mcpverify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// The header fields of MCP over HTTP.
const (
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerParam   = "Mcp-Param-"
	headerSession = "Mcp-Session-Id"
)

// generation2026 is the first version without sessions. Versions are dates, and
// compare as text.
const generation2026 = "2026-07-28"

// httpHeaders completes the requests of an httpConn.
type httpHeaders struct {
	next     http.RoundTripper
	conn     *httpConn
	maxBytes int64
}

// RoundTrip implements [http.RoundTripper].
func (h *httpHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	isStream := r.Method == http.MethodPost && r.Context().Value(streamKey{}) != nil
	if isStream {
		if r.Body != nil {
			r.Body.Close()
		}
		out.Method, out.Body, out.GetBody, out.ContentLength = http.MethodGet, nil, nil, 0
		out.Header.Del("Content-Type")
		out.Header.Set("Accept", "text/event-stream")
	}
	h.conn.complete(out)
	resp, err := h.next.RoundTrip(out)
	h.conn.note(err)
	if err != nil {
		return nil, err
	}
	events := mediaType(resp) == "text/event-stream"
	if isStream && (!events || resp.StatusCode != http.StatusOK) {
		h.conn.withoutStream(resp.StatusCode)
	}
	if !events || resp.StatusCode != http.StatusOK {
		resp.Body = http.MaxBytesReader(nil, resp.Body, h.maxBytes)
	}
	explain(out, resp)
	if isStream && !events { // the SDK would read a message in it
		resp.Body.Close()
		resp.Body, resp.StatusCode, resp.Header = io.NopCloser(strings.NewReader("")), http.StatusMethodNotAllowed, http.Header{}
	}
	return resp, nil
}

// explain makes a message of a refusal that is none, such as that of a proxy in
// front of the server: the SDK would give up the whole connection, and with it
// what else is under way. The end of a session is left to it.
func explain(r *http.Request, resp *http.Response) {
	req, ok := r.Context().Value(messageKey{}).(*jsonrpc.Request)
	ended := resp.StatusCode == http.StatusNotFound && r.Header.Get(headerSession) != ""
	if !ok || !req.IsCall() || r.Method != http.MethodPost || resp.StatusCode < http.StatusMultipleChoices || ended {
		return
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if msg, isMessage := decode(body).(*jsonrpc.Response); err != nil || !isMessage || msg.Error == nil {
		refusal := wireError(mcpwire.CodeUndetermined, "", fmt.Sprintf("the server, or what is in front of it, answered %.100q", resp.Status))
		if body, err = jsonrpc.EncodeMessage(&jsonrpc.Response{ID: req.ID, Error: refusal}); err != nil {
			panic("mcpverify: internal error: " + err.Error())
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
}

// decode returns the message in body, nil when there is none.
func decode(body []byte) jsonrpc.Message {
	msg, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil
	}
	return msg
}

func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// complete sets what the SDK leaves to connections that know the version.
func (c *httpConn) complete(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != "" && r.Header.Get(headerVersion) == "" {
		r.Header.Set(headerVersion, c.version)
	}
	req, ok := r.Context().Value(messageKey{}).(*jsonrpc.Request)
	if !ok || r.Method != http.MethodPost || r.Header.Get(headerVersion) < generation2026 {
		return
	}
	if r.Header.Get(headerMethod) == "" {
		r.Header.Set(headerMethod, req.Method)
	}
	if req.Method == methodToolsCall {
		c.setParamHeaders(r.Header, req.Params)
	}
}

// note keeps why a server was refused until a request succeeds.
func (c *httpConn) note(err error) {
	var refused *serververify.UntrustedError
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal = nil; errors.As(err, &refused) {
		c.refusal = refused
	}
}

// withoutStream notes that the server does not offer a stream. What may pass is
// tried again.
func (c *httpConn) withoutStream(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noStream = status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}
