package mcpguard

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// MaxBodyBytes is the size of the largest HTTP request body that [Adapter.Handler] lets through.
const MaxBodyBytes = 4 << 20

// MaxBatch is how many messages one HTTP request may hold.
const MaxBatch = 64

// headerTicket carries the key of a ticket from the HTTP handler to the middleware, through the one thing that
// the SDK hands on from request to request unchanged. What a client sends under this name is removed.
const headerTicket = "Touchmark-Ticket"

// methodUnreadable is recorded as the method of a request body that is not a JSON-RPC message.
const methodUnreadable = "unreadable"

// A ticket is one HTTP request that is being answered.
type ticket struct {
	channel guard.ChannelIdentity // of the connection that the request came over; nil for nobody

	mu    sync.Mutex
	calls []wireCall // that the middleware is still to see
}

// A wireCall is what the outer handler reads of a JSON-RPC call.
type wireCall struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Params struct {
		Name   string `json:"name"`
		URI    string `json:"uri"`
		TaskID string `json:"taskId"`
	} `json:"params"`
}

// name is what the guard takes for the name of what is asked for, and for methods that it does not know
// whatever names something.
func (c *wireCall) name() string {
	kind := kindOf(c.Method)
	switch {
	case kind == guard.KindTask:
		return c.Params.TaskID
	case kind == guard.KindResource || kind == "" && c.Params.Name == "":
		return c.Params.URI
	}
	return c.Params.Name
}

// wantsAnswer reports whether the call is a request, and no notification.
func (c *wireCall) wantsAnswer() bool { return len(c.ID) > 0 && string(c.ID) != "null" }

// Handler wraps the SDK's HTTP handler, outside of which nothing may look at MCP requests. A request that the
// SDK answers without the middleware of the server, because a header contradicts the body, a parameter has
// the wrong type or a method does not exist, is recorded as rejected. A body that is not JSON by strict rules
// is refused at once: nobody behind may read it another way. And it is the handler that learns from the server's
// TLS or socket who is at the other end (package serververify/workload): without it the guard knows no channel.
func (a *Adapter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			next.ServeHTTP(w, req)
			return
		}
		req = req.Clone(req.Context())
		req.Header.Del(headerTicket)
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxBodyBytes))
		if err != nil {
			a.reject(w, req, statusOf(err))
			return
		}
		calls, err := readCalls(body)
		if err != nil {
			a.reject(w, req, http.StatusBadRequest)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		key, t := rand.Text(), &ticket{channel: channelOf(req), calls: calls}
		a.tickets.Store(key, t)
		defer a.tickets.Delete(key)
		req.Header.Set(headerTicket, key)
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, req)
		if req.Context().Err() == nil { // else the middleware may be about to see it
			a.recordUnseen(req, t, status.status)
		}
	})
}

// statusOf answers a body that could not be read to its end.
func statusOf(err error) int {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// reject refuses a body that cannot be read, and records that somebody tried.
func (a *Adapter) reject(w http.ResponseWriter, req *http.Request, status int) {
	a.recordRejected(req, &wireCall{Method: methodUnreadable}, status)
	http.Error(w, http.StatusText(status), status)
}

// readCalls returns the guarded calls of a body, which is one JSON-RPC message or, in old versions of the
// protocol, a list of them.
func readCalls(body []byte) ([]wireCall, error) {
	if err := strictjson.Validate(body); err != nil {
		return nil, err
	}
	var messages []json.RawMessage
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '[' {
		messages = append(messages, body)
	} else if err := json.Unmarshal(body, &messages); err != nil {
		return nil, err
	}
	if len(messages) > MaxBatch { // each may cost a record
		return nil, errors.New("mcpguard: too many messages in one body")
	}
	var calls []wireCall
	for _, m := range messages {
		c := readCall(m)
		if c.Method != "" && !isOpen(c.Method) {
			calls = append(calls, c)
		}
	}
	return calls, nil
}

// readCall takes from a message what a record names. Members of other types than these are for the SDK to
// reject.
func readCall(m json.RawMessage) (c wireCall) {
	var members map[string]json.RawMessage
	if strictjson.Unmarshal(m, &members) != nil {
		return c
	}
	if strictjson.Unmarshal(members["method"], &c.Method) != nil {
		c.Method = ""
	}
	c.ID = members["id"]
	var params map[string]json.RawMessage
	if strictjson.Unmarshal(members["params"], &params) == nil {
		_ = strictjson.Unmarshal(params["name"], &c.Params.Name)     //nolint:errcheck // then it has no name
		_ = strictjson.Unmarshal(params["uri"], &c.Params.URI)       //nolint:errcheck // nor this
		_ = strictjson.Unmarshal(params["taskId"], &c.Params.TaskID) //nolint:errcheck // nor this
	}
	return c
}

// channelOf returns whom the TLS or the socket of a request authenticated. Who was authenticated and no longer is
// counts as nobody.
func channelOf(req *http.Request) guard.ChannelIdentity {
	p, err := workload.FromRequest(req)
	if err != nil {
		return nil
	}
	return p
}

// ticket returns what the handler knows of the HTTP request that a message came with, nil without the handler.
func (a *Adapter) ticket(h http.Header) *ticket {
	v, ok := a.tickets.Load(h.Get(headerTicket))
	if !ok {
		return nil
	}
	t, ok := v.(*ticket)
	if !ok {
		return nil
	}
	return t
}

// sighted notes that the middleware has seen a call, and returns the call's JSON-RPC id where it is known.
func (t *ticket) sighted(r *guard.Request) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.calls {
		if c.Method == r.Method && (kindOf(c.Method) == "" || c.name() == r.Capability.Name) {
			t.calls = append(t.calls[:i], t.calls[i+1:]...)
			return idText(c.ID)
		}
	}
	return ""
}

// idText is the id of a request as a record has it: the text of a string or of a number.
func idText(id json.RawMessage) string {
	var s string
	if strictjson.Unmarshal(id, &s) == nil {
		return s
	}
	return string(id)
}

func (a *Adapter) recordUnseen(req *http.Request, t *ticket, status int) {
	t.mu.Lock()
	unseen := t.calls
	t.calls = nil
	t.mu.Unlock()
	for i := range unseen {
		if status == http.StatusAccepted && unseen[i].wantsAnswer() {
			continue // an older transport answers on another stream, and the middleware is still to see it
		}
		a.recordRejected(req, &unseen[i], status)
	}
}

// recordRejected records what never reached the guard. The answer has been given, and it was no: a failure to
// record it is the log's to tell.
func (a *Adapter) recordRejected(req *http.Request, c *wireCall, status int) {
	r := &guard.Request{
		Method: c.Method, Capability: guard.Capability{Kind: kindOf(c.Method), Name: c.name()},
		RequestID: idText(c.ID), Transport: "http",
	}
	r.TraceParent, r.TraceState = mcpwire.Trace(req.Header.Get, nil)
	r.TraceID = mcpwire.TraceID(r.TraceParent)
	if presented, err := a.rules.FromHeader(req.Header); err == nil {
		r.Badge, r.Proof, r.TxnID = presented.Badge, presented.Hop, presented.Txn
	}
	ctx := context.WithoutCancel(req.Context())
	err := a.guard.Refuse(ctx, r, guard.CodeRequestRejected, "HTTP_"+strconv.Itoa(status))
	if refusal := guard.RefusalOf(err); refusal.Code != guard.CodeRequestRejected {
		a.log.Error("mcpguard: rejected request without a record", "method", c.Method, "error", err)
	}
}

// kindOf is the kind of what a call uses, where its parameters name one thing by its method alone.
func kindOf(method string) guard.Kind {
	m := guard.MethodNamed(method)
	if m.Class != guard.UseMethod || method == methodListen {
		return ""
	}
	return m.Kind
}

// statusWriter remembers the status of an answer. It passes on what [http.ResponseController] can do.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, status >= http.StatusOK
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which is asked for by name.
func (w *statusWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() //nolint:errcheck // as the SDK: as far as possible
}
