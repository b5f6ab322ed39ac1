package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// What a decider says to everything.
var decisions = map[string]string{
	"yes": `{"decision":true}`, "no": `{"decision":false}`, "nonsense": `{"decision":"true"}`, "late": "",
	"bounded": `{"decision":true,"context":{"obligations":[{"id":"1","type":"custom","properties":{"vendor":"dev.touchmark","max_result_bytes":4}}]}}`,
	"stepup":  `{"decision":true,"context":{"obligations":[{"id":"1","type":"step-up","properties":{}}]}}`,
}

// decider runs a decision service for as long as the script does: decider VAR yes|no|... sets VAR to its URL, and VAR.log
// has what it was asked.
func decider(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: decider VAR SAYS")
	}
	says, ok := decisions[args[1]]
	if !ok {
		ts.Fatalf("decider: %q is not known", args[1])
	}
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	ts.Check(err)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		fmt.Fprintf(log, "%s %s %s\n", r.URL.Path, r.Header.Get("Authorization"), body)
		mu.Unlock()
		if says == "" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-ID", r.Header.Get("X-Request-ID"))
		io.WriteString(w, decided(r.URL.Path, body, says)) //nolint:errcheck // the client may be gone
	}))
	ts.Defer(func() {
		s.CloseClientConnections()
		s.Close()
		log.Close()
	})
	ts.Setenv(args[0], s.URL)
}

// decided is a response in the form of the endpoint.
func decided(path string, body []byte, says string) string {
	var q struct {
		Evaluations []json.RawMessage `json:"evaluations"`
		Input       struct {
			RequestID string `json:"request_id"`
		} `json:"input"`
	}
	_ = json.Unmarshal(body, &q) // what is no question is answered too
	switch {
	case strings.HasSuffix(path, "/evaluations"):
		return `{"evaluations":[` + strings.TrimSuffix(strings.Repeat(says+",", len(q.Evaluations)), ",") + `]}`
	case strings.HasPrefix(path, "/v1/data/"):
		return fmt.Sprintf(`{"result":{"request_id":%q,%s}`, q.Input.RequestID, strings.TrimPrefix(says, "{"))
	}
	return says
}
