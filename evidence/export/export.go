// Package export writes evidence for other programs: JSON lines, and logs of OpenTelemetry (OTLP in its JSON encoding), to
// a file or to a collector.
//
// Use [Line] for JSON lines, [Logs] for a file of OTLP, and a [Client] for a collector. What goes out is what stands in
// records, which hold no parameter and no result, and nothing that a journal has beside them. spec/evidence-index.md
// section 6 has the form. [View] checks what was exported of a part of a stream.
package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Form says how much of an entry is exported.
type Form uint8

// The forms.
const (
	Entries Form = iota // whole, so that it verifies anywhere
	Records             // the record alone, which nobody can verify
)

// Line returns an entry as a line of JSON, without the line feed.
func Line(e *evidence.UnverifiedEntry, form Form) ([]byte, error) {
	if form == Entries {
		return e.Bytes(), nil
	}
	m, err := e.Record.Message()
	if err != nil {
		return nil, err
	}
	return m.Record(), nil
}

// scope names who made the logs.
const scope = "github.com/touchmark-dev/touchmark/evidence/export"

// The parts of an ExportLogsServiceRequest that are used, in the JSON encoding of OTLP.
type (
	request struct {
		ResourceLogs []*resourceLogs `json:"resourceLogs"`
	}
	resourceLogs struct {
		Resource  resource    `json:"resource"`
		ScopeLogs []scopeLogs `json:"scopeLogs"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeLogs struct {
		Scope struct {
			Name string `json:"name"`
		} `json:"scope"`
		LogRecords []logRecord `json:"logRecords"`
	}
	logRecord struct {
		Time         string      `json:"timeUnixNano"`
		Observed     string      `json:"observedTimeUnixNano"`
		Severity     int         `json:"severityNumber"`
		SeverityText string      `json:"severityText"`
		EventName    string      `json:"eventName"`
		Body         value       `json:"body"`
		Attributes   []attribute `json:"attributes"`
		TraceID      string      `json:"traceId,omitempty"`
		SpanID       string      `json:"spanId,omitempty"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		Text *string `json:"stringValue,omitempty"`
		Int  *string `json:"intValue,omitempty"`
		Bool *bool   `json:"boolValue,omitempty"`
	}
)

func text(s string) value { return value{Text: &s} }

// Logs returns entries as an ExportLogsServiceRequest of OTLP in its JSON encoding, on one line. With Entries the body of
// each log is the entry, with Records a few words.
func Logs(entries []*evidence.UnverifiedEntry, form Form) ([]byte, error) {
	var out request
	of := make(map[string]*resourceLogs)
	for _, e := range entries {
		server := e.Record.Server.String()
		r := of[server]
		if r == nil {
			r = &resourceLogs{
				Resource:  resource{[]attribute{{"service.name", text("touchmark")}, {"touchmark.server", text(server)}}},
				ScopeLogs: make([]scopeLogs, 1),
			}
			r.ScopeLogs[0].Scope.Name = scope
			of[server] = r
			out.ResourceLogs = append(out.ResourceLogs, r)
		}
		log, err := logOf(e, form)
		if err != nil {
			return nil, err
		}
		r.ScopeLogs[0].LogRecords = append(r.ScopeLogs[0].LogRecords, *log)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&out); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Severities of OTLP.
const (
	severityInfo = 9
	severityWarn = 13
)

func logOf(e *evidence.UnverifiedEntry, form Form) (*logRecord, error) {
	m, err := e.Record.Message()
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(e.Record.Time.UnixNano(), 10)
	l := &logRecord{Time: at, Observed: at, Severity: severityInfo, SeverityText: "INFO", EventName: "touchmark.evidence." + string(e.Record.Kind())}
	words := string(e.Record.Kind())
	if d := e.Record.Decision; d != nil {
		words = d.Method + " " + string(d.Kind)
		if !d.Kind.Allows() {
			l.Severity, l.SeverityText = severityWarn, "WARN"
		}
	}
	if o := e.Record.Outcome; o != nil {
		words += " " + string(o.Status)
		if o.Status == evidence.OutcomeError || o.Status == evidence.OutcomeUnknown {
			l.Severity, l.SeverityText = severityWarn, "WARN"
		}
	}
	if l.Body = text(words); form == Entries {
		l.Body = text(string(e.Bytes()))
	}
	return l, l.attributes(m.Record())
}

// names are the attributes whose names are those of the telemetry of a guard (spec/telemetry.md). Members with a dot keep
// their names, and all others get a prefix.
var names = map[string]string{
	"id": "touchmark.evidence.id", "decision_kind": "touchmark.decision", "caller_level": "touchmark.caller.level",
	"actor": "touchmark.caller.actor",
}

func attributeName(member string) string {
	if name, ok := names[member]; ok {
		return name
	}
	if strings.Contains(member, ".") {
		return member
	}
	return "touchmark." + member
}

// attributes adds the members of a record, in their order.
func (l *logRecord) attributes(record []byte) error {
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		member, _ := name.(string)
		v, err := d.Token()
		if err != nil {
			return err
		}
		a := attribute{Key: attributeName(member)}
		switch v := v.(type) {
		case string:
			a.Value = text(v)
		case json.Number:
			n := v.String()
			a.Value.Int = &n
		case bool:
			a.Value.Bool = &v
		default:
			return fmt.Errorf("export: member %q of a record is neither text nor number nor true", member)
		}
		l.add(member, a)
	}
	return nil
}

// add adds a member, in the place that logs have for it.
func (l *logRecord) add(member string, a attribute) {
	switch {
	case member == "event.name":
		l.EventName = *a.Value.Text
		return
	case member == "time":
		return
	case member == "trace_id" && isHex(*a.Value.Text, 32):
		l.TraceID = *a.Value.Text
		return
	case member == "span_id" && l.SpanID == "":
		l.SpanID = *a.Value.Text
		return
	}
	l.Attributes = append(l.Attributes, a)
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}
