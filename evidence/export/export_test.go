package export

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

const (
	server = "did:web:s.example"
	keyID  = server + "#1"
)

var testKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))

var testKeys = evidence.Keys{keyID: testKey.Public().(ed25519.PublicKey)}

// stream signs records as one stream.
func stream(t *testing.T, records ...*evidence.Record) (all []*evidence.UnverifiedEntry) {
	t.Helper()
	var previous evidence.Hash
	for i, r := range records {
		r.Header = evidence.Header{
			ID: "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e1" + string(rune('0'+i)), Stream: evidence.StreamID{1}, Epoch: 1, Sequence: uint64(i),
			Previous: previous, Time: time.Unix(1_790_000_000+int64(i), 5), Server: did.MustParse(server),
		}
		if r.Outcome != nil {
			of := records[r.Outcome.DecisionSequence]
			r.Outcome.DecisionID = of.ID
		}
		text, err := evidence.Sign(r, keyID, testKey)
		if err != nil {
			t.Fatal(err)
		}
		e, err := evidence.ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		previous = e.RecordHash()
		all = append(all, e)
	}
	return all
}

func decision(tenant string) *evidence.Record {
	return &evidence.Record{Decision: &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: `a "b" <é>`, Tenant: tenant,
		Kind: evidence.Allow, PolicyVersion: "p", ParamsCommitment: evidence.Hash{1}, ParamsForm: evidence.ParamsTree,
		TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331",
	}}
}

func outcome(of uint64) *evidence.Record {
	return &evidence.Record{Outcome: &evidence.Outcome{DecisionSequence: of, Status: evidence.OutcomeUnknown}}
}

func run(t *testing.T) []*evidence.UnverifiedEntry {
	denied := decision("globex")
	denied.Decision.Kind, denied.Decision.DenyReason, denied.Decision.TraceID, denied.Decision.SpanID = evidence.Deny, "TOOL_POLICY_DENIED", "mine", ""
	denied.Decision.BearerUnsafe = true
	return stream(t, &evidence.Record{Genesis: &evidence.Genesis{Software: "test"}}, decision("acme"), denied, outcome(1), decision("acme"), &evidence.Record{})
}

// TestLogs: another implementation of OTLP finds every member of every record in its place.
func TestLogs(t *testing.T) {
	entries := run(t)
	text, err := Logs(entries, Entries)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(text), "\n\r") {
		t.Error("more than one line")
	}
	// protojson has bytes in base64, and OTLP ids in hexadecimal.
	ids := regexp.MustCompile(`"(traceId|spanId)":"([0-9a-f]+)"`)
	for _, id := range ids.FindAllSubmatch(text, -1) {
		if raw, err := hex.DecodeString(string(id[2])); err != nil || len(raw) != 16 && len(raw) != 8 {
			t.Errorf("%s", id[0])
		}
	}
	var got collector.ExportLogsServiceRequest
	if err := protojson.Unmarshal(ids.ReplaceAll(text, []byte(`"$1":""`)), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(ids.FindAll(text, -1)); n != 4 {
		t.Errorf("%d ids", n)
	}
	var all []*logs.LogRecord
	for _, r := range got.ResourceLogs {
		for _, s := range r.ScopeLogs {
			all = append(all, s.LogRecords...)
		}
	}
	if len(all) != len(entries) || len(got.ResourceLogs) != 1 {
		t.Fatalf("%d logs, %d resources", len(all), len(got.ResourceLogs))
	}
	for i, l := range all {
		e := entries[i]
		if l.Body.GetStringValue() != string(e.Bytes()) || l.TimeUnixNano != uint64(e.Record.Time.UnixNano()) {
			t.Errorf("%v", l)
		}
		attributes := map[string]bool{}
		for _, a := range l.Attributes {
			attributes[a.Key] = true
		}
		m, err := e.Record.Message()
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(m.Record(), &members); err != nil {
			t.Fatal(err)
		}
		elsewhere := map[string]bool{"event.name": true, "time": true, "span_id": true, "trace_id": e.Record.Decision != nil && e.Record.Decision.SpanID != ""}
		for name := range members {
			if attributes[attributeName(name)] == elsewhere[name] {
				t.Errorf("%s of record %d", name, i)
			}
		}
	}
	if all[1].EventName != "capiscio.tool_invocation" || all[0].EventName != "touchmark.evidence.genesis" ||
		all[1].SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_INFO || all[2].SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_WARN ||
		all[3].SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_WARN {
		t.Errorf("%v", all[:4])
	}
	short, err := Logs(entries[:2], Records)
	if err != nil || strings.Contains(string(short), "sig") || !strings.Contains(string(short), `"tools/call allow"`) {
		t.Errorf("%s, %v", short, err)
	}
}

func TestLine(t *testing.T) {
	e := run(t)[1]
	if line, err := Line(e, Entries); err != nil || string(line) != string(e.Bytes()) {
		t.Errorf("%s, %v", line, err)
	}
	line, err := Line(e, Records)
	if err != nil || !strings.Contains(string(e.Bytes()), `"record":`+string(line)+`,"sig"`) {
		t.Errorf("%s, %v", line, err)
	}
}

// TestPush: what the collector takes, what it rejects, and what it is asked again.
func TestPush(t *testing.T) {
	entries := run(t)
	type answer struct {
		status int
		body   string
	}
	for name, c := range map[string]struct {
		answers []answer
		asked   int
		status  int // of the refusal, 0 for none
	}{
		"taken":           {[]answer{{200, `{}`}}, 1, 0},
		"without a word":  {[]answer{{200, ``}}, 1, 0},
		"none rejected":   {[]answer{{200, `{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"slow"}}`}}, 1, 0},
		"some rejected":   {[]answer{{200, `{"partialSuccess":{"rejectedLogRecords":"2"}}`}}, 1, 200},
		"by a number":     {[]answer{{200, `{"partialSuccess":{"rejectedLogRecords":2}}`}}, 1, 200},
		"refused":         {[]answer{{400, ``}}, 1, 400},
		"elsewhere":       {[]answer{{307, ``}}, 1, 307},
		"busy, then not":  {[]answer{{429, ``}, {503, ``}, {200, ``}}, 3, 0},
		"busy all along":  {[]answer{{503, ``}, {503, ``}, {503, ``}, {503, ``}, {200, ``}}, tries, 503},
		"an error inside": {[]answer{{500, ``}}, 1, 500},
	} {
		asked := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.URL.Path != "/x/v1/logs" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "k" || !json.Valid(body) {
				t.Errorf("%s: %v %v %s", name, r.URL, r.Header, body)
			}
			a := c.answers[asked]
			asked++
			w.Header().Set("Location", "/y")
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
		}))
		client, err := NewClient(&ClientConfig{URL: s.URL + "/x", Header: map[string]string{"X-Key": "k"}, Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Push(t.Context(), entries)
		var refused *RefusedError
		if errors.As(err, &refused) != (c.status != 0) || c.status == 0 && err != nil || refused != nil && refused.Status != c.status {
			t.Errorf("%s: %v", name, err)
		}
		if asked != c.asked {
			t.Errorf("%s: asked %d times", name, asked)
		}
		s.Close()
		if name != "taken" {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := client.Push(ctx, entries); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if err := client.Push(t.Context(), entries); err == nil {
			t.Error("a collector that is gone")
		}
		if err := client.Push(t.Context(), make([]*evidence.UnverifiedEntry, MaxBatch+1)); err == nil {
			t.Error("too large a batch")
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	for _, url := range []string{
		"", "collector", "http://collector.example", "ftp://127.0.0.1", "https://", "https://user:pw@c.example", "https://c.example?x=1", "https://c.example#x", "http://127.0.0.1.example",
	} {
		if _, err := NewClient(&ClientConfig{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	for _, url := range []string{"https://c.example", "http://127.0.0.1:4318", "http://[::1]:4318/", "http://localhost:4318"} {
		if _, err := NewClient(&ClientConfig{URL: url}); err != nil {
			t.Error(err)
		}
	}
}

// TestView: a part of a stream, and what it must not have.
func TestView(t *testing.T) {
	all := run(t)
	other := stream(t, &evidence.Record{Genesis: &evidence.Genesis{Software: "other"}}, decision("acme"), decision("acme"))
	refused := decision("acme")
	refused.Decision.Kind, refused.Decision.DenyReason = evidence.Deny, "TOOL_POLICY_DENIED"
	denied := stream(t, &evidence.Record{Genesis: &evidence.Genesis{Software: "denied"}}, refused, outcome(1))
	pick := func(from []*evidence.UnverifiedEntry, at ...int) (out []*evidence.UnverifiedEntry) {
		for _, i := range at {
			out = append(out, from[i])
		}
		return out
	}
	for name, c := range map[string]struct {
		tenant  string
		entries []*evidence.UnverifiedEntry
		code    evidence.Code
		gaps    uint64
	}{
		"a tenant":               {"acme", pick(all, 1, 3, 4), "", 1},
		"everybody":              {"", all, "", 0},
		"every other one":        {"", pick(all, 0, 2, 4), "", 2},
		"of another tenant":      {"acme", pick(all, 1, 2), evidence.CodeTenantMismatch, 0},
		"of nobody":              {"acme", pick(all, 1, 5), evidence.CodeTenantMismatch, 0},
		"an outcome alone":       {"acme", pick(all, 3), evidence.CodeTenantMismatch, 0},
		"an outcome of another":  {"globex", pick(all, 2, 3), evidence.CodeTenantMismatch, 0},
		"an outcome of no call":  {"acme", pick(denied, 1, 2), evidence.CodeTenantMismatch, 0},
		"reordered":              {"acme", pick(all, 4, 1), evidence.CodeReordered, 0},
		"twice":                  {"acme", pick(all, 1, 1), evidence.CodeDuplicate, 0},
		"two with one number":    {"acme", append(pick(all, 1), other[1]), evidence.CodeConflict, 0},
		"another one in between": {"", append(pick(all, 1), other[2]), evidence.CodePreviousMismatch, 0},
	} {
		v := &View{Keys: testKeys, Tenant: c.tenant}
		var err error
		for _, e := range c.entries {
			if _, err = v.Add(e.Bytes()); err != nil {
				break
			}
		}
		if evidence.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v", name, err)
		}
		if s := v.Summary(); c.code == "" && (s.Gaps != c.gaps || s.Records != uint64(len(c.entries))) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	v := &View{Keys: evidence.Keys{}}
	if _, err := v.Add(all[0].Bytes()); evidence.CodeOf(err) != evidence.CodeKeyUnknown {
		t.Errorf("nobody's key: %v", err)
	}
	if _, err := v.Add([]byte("{}")); evidence.CodeOf(err) != evidence.CodeMalformed {
		t.Errorf("no entry: %v", err)
	}
}

// TestViewStreams: entries of another stream or server are none of the view's.
func TestViewStreams(t *testing.T) {
	all := run(t)
	changed := func(change func(*evidence.Record)) []byte {
		r := *all[1].Record
		r.Sequence = 9
		change(&r)
		kid := r.Server.String() + "#1"
		text, err := evidence.Sign(&r, kid, testKey)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for code, text := range map[evidence.Code][]byte{
		evidence.CodeStreamMismatch: changed(func(r *evidence.Record) { r.Stream[0]++ }),
		evidence.CodeServerMismatch: changed(func(r *evidence.Record) { r.Server = did.MustParse("did:web:o.example") }),
	} {
		v := &View{Keys: evidence.Keys{keyID: testKeys[keyID], "did:web:o.example#1": testKeys[keyID]}}
		if _, err := v.Add(all[1].Bytes()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Add(text); evidence.CodeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}
