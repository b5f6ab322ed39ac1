package mcpguard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// counted has every refused attempt but the first counted, and not recorded by itself.
func counted(c *guard.Config) {
	c.Refusals = guard.Refusals{PerSecond: 1, Burst: 1, Interval: time.Millisecond}
	c.Time = func() time.Time { return time.Unix(1790000000, 0) }
}

// TestHiddenIsAbsentInAFlood: where refused attempts are counted, the answer for what is hidden is to the octet that for
// what does not exist, and names no record.
func TestHiddenIsAbsentInAFlood(t *testing.T) {
	for _, version := range []string{withSessions, withoutSessions} {
		t.Run(version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard(counted, func(c *guard.Config) { c.AllowBearerUnsafe = true }))
			opts := &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}
			guarded, plain := serve(t, s, a, opts), serve(t, newServer(nil), nil, opts)
			ask := func(url, name string) string {
				params := `"name":"` + name + `","arguments":{"text":"x"}`
				body, headers := modern("tools/call", name, params)
				if version == withSessions {
					body, headers = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{`+params+`}}`, map[string]string{"Mcp-Protocol-Version": version}
				}
				headers["X-Capiscio-Badge"] = w.Agent(badge.LevelSelfSigned).Badge
				status, text := post(t, url, body, headers)
				return fmt.Sprint(status, " ", strings.ReplaceAll(text, name, "NAME"))
			}
			ask(guarded, "f_secret") // the budget
			hidden, absent, sdk := ask(guarded, "f_secret"), ask(guarded, "f_sXcret"), ask(plain, "f_sXcret")
			if hidden != absent || hidden != sdk {
				t.Errorf("hidden: %s\nabsent: %s\n   SDK: %s", hidden, absent, sdk)
			}
			if n := len(w.Recorder.Decisions()); n != 1 {
				t.Errorf("%d decisions have a record of their own", n)
			}
		})
	}
}

// TestFloodOverHTTP: whatever is refused over HTTP, inside of the SDK's handler or outside of it, is in the evidence once,
// and who is told a record is counted by it. It floods for as long as 2,000 requests take, or for half a minute with
// TOUCHMARK_SOAK=1, and says how many a second there were; guard.TestFloodOfRefusals has the rate that is asked for.
func TestFloodOverHTTP(t *testing.T) {
	const clients = 200
	each, until := 10, time.Time{}
	if os.Getenv("TOUCHMARK_SOAK") == "1" {
		each, until = 1<<30, time.Now().Add(30*time.Second)
	}
	server := badgetest.NewAgent(t)
	dir := t.TempDir()
	ledger, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: dir, Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	g := guardtest.New(t).Guard(func(c *guard.Config) { c.Evidence, c.Refusals.Burst = ledger, 50 })
	s := newServer(nil)
	url := serve(t, s, mcpguard.Protect(s, g), &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = clients
	t.Cleanup(transport.CloseIdleConnections)
	bodies, headers := floodRequests()

	var mu sync.Mutex
	sent, told := uint64(0), map[string]uint64{}
	began := time.Now()
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			for i := 0; i < each && (until.IsZero() || time.Now().Before(until)); i++ {
				kind := (n + i) % len(bodies)
				id := ask(t, transport, url, bodies[kind], headers[kind])
				mu.Lock()
				sent++
				if id != "" {
					told[id]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if err := g.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if err := ledger.Close(t.Context()); err != nil {
		t.Error(err)
	}
	all, records := uint64(0), map[string]uint64{}
	for stored, err := range evidence.ReadJournal(dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if r := e.Record; r.Refusals != nil {
			records[r.ID] = r.Refusals.Count
		} else if r.Decision != nil {
			records[r.ID] = 1
		}
		all += records[e.Record.ID]
	}
	if all != sent {
		t.Errorf("%d requests were refused, the evidence counts %d", sent, all)
	}
	for id, n := range told {
		if records[id] < n {
			t.Errorf("%d callers were told the record %s, which counts %d", n, id, records[id])
		}
	}
	t.Logf("%d requests of %d clients in %v, %.0f a second, %d records", sent, clients, took.Round(time.Millisecond), float64(sent)/took.Seconds(), len(records))
}

// floodRequests are requests that are refused: without a badge, with one that is none, of an unknown method, with a header
// that contradicts the body, and one that is not JSON.
func floodRequests() (bodies []string, headers []map[string]string) {
	add := func(body string, h map[string]string) { bodies, headers = append(bodies, body), append(headers, h) }
	body, h := modern("tools/call", "f_secret", `"name":"f_secret","arguments":{"text":"x"}`)
	add(body, h)
	add(body, h)
	forged := map[string]string{"X-Capiscio-Badge": "e30.e30.e30"}
	other := map[string]string{"Mcp-Name": "a_level0"}
	for k, v := range h {
		forged[k] = v
		if k != "Mcp-Name" {
			other[k] = v
		}
	}
	add(body, forged)
	add(body, other)
	add(modern("made/up", "", ""))
	add(`{"a":1,"a":2}`, h)
	return bodies, headers
}

// ask sends a request and returns the id of the record that the answer names.
func ask(t *testing.T, transport *http.Transport, url, body string, headers map[string]string) string {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	var answer struct {
		Error struct {
			Data struct {
				DecisionID string `json:"decision_id"`
			}
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return "" // refused outside of JSON-RPC
	}
	return answer.Error.Data.DecisionID
}
