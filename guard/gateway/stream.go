package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// MaxMessageBytes bounds one JSON-RPC message in either direction. A longer
// line ends the connection: what follows it cannot be told apart from it.
const MaxMessageBytes = 4 << 20

// JSON-RPC 2.0 error codes that the gateway itself answers with.
const (
	codeParseError     = -32700
	codeInvalidRequest = -32600
	codeMethodNotFound = -32601
	codeInvalidParams  = -32602
	codeInternalError  = -32603
)

// message is one JSON-RPC 2.0 message. Which of its members are present says
// what it is: a request has a method and an id, a notification a method alone,
// a response an id and a result or an error.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

func (m *message) isRequest() bool      { return m.Method != "" && len(m.ID) > 0 }
func (m *message) isNotification() bool { return m.Method != "" && len(m.ID) == 0 }
func (m *message) isResponse() bool     { return m.Method == "" && len(m.ID) > 0 }

// wireError is the error member of a JSON-RPC response.
type wireError struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// parseMessage reads one message strictly: a member given twice, at any depth,
// makes it malformed, because the guard and the server behind it could
// otherwise read two different requests out of the same bytes.
func parseMessage(line []byte) (*message, error) {
	var m message
	if err := strictjson.UnmarshalStrict(line, &m); err != nil {
		return nil, err
	}
	if m.Version != "2.0" {
		return nil, errors.New("member jsonrpc is not \"2.0\"")
	}
	if len(m.ID) > 0 && !validID(m.ID) {
		return nil, errors.New("member id is neither a string nor an integer")
	}
	if m.Method == "" && (len(m.ID) == 0 || (len(m.Result) == 0) == (len(m.Error) == 0)) {
		return nil, errors.New("neither a request nor a response")
	}
	if m.Method != "" && (len(m.Result) > 0 || len(m.Error) > 0) {
		return nil, errors.New("both a request and a response")
	}
	return &m, nil
}

// validID reports whether raw is a string or an integer in its shortest form,
// the two kinds of id that MCP allows.
func validID(raw json.RawMessage) bool {
	if len(raw) > 256 {
		return false
	}
	if raw[0] == '"' {
		return true
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == string(raw)
}

// stream carries newline-delimited messages over a pair of byte streams.
// Reads belong to one goroutine; writes may come from any.
type stream struct {
	in  *bufio.Scanner
	mu  sync.Mutex // guards out
	out io.Writer
}

func newStream(r io.Reader, w io.Writer) *stream {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), MaxMessageBytes)
	return &stream{in: s, out: w}
}

// malformedError reports a line that is not a message. The stream goes on
// after it.
type malformedError struct {
	err    error
	object bool // it was meant to be a message: it begins like a JSON object
}

// Error says what is wrong, and nothing of what the message says: a JSON
// decoder's error quotes names and values from there on.
func (e *malformedError) Error() string {
	reason := e.err.Error()
	if i := strings.IndexAny(reason, "\"`"); i >= 0 {
		reason = strings.TrimSpace(reason[:i])
	}
	return "malformed message: " + reason
}

func (e *malformedError) Unwrap() error { return e.err }

// read returns the next message, a *malformedError for a line that is none, or
// the error that ended the stream (io.EOF at its regular end).
func (s *stream) read() (*message, error) {
	for s.in.Scan() {
		line := bytes.TrimSpace(s.in.Bytes())
		if len(line) == 0 {
			continue
		}
		m, err := parseMessage(bytes.Clone(line))
		if err != nil {
			return nil, &malformedError{err: err, object: line[0] == '{'}
		}
		return m, nil
	}
	if err := s.in.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

func (s *stream) write(m *message) error {
	m.Version = "2.0"
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.out.Write(b)
	return err
}

func (s *stream) reply(id json.RawMessage, result json.RawMessage) error {
	return s.write(&message{ID: id, Result: result})
}

func (s *stream) refuse(id json.RawMessage, e *wireError) error {
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.write(&message{ID: id, Error: b})
}
