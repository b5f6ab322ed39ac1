package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// jwk is the private key of RFC 8037, appendix A.
const (
	jwk     = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	jwkPart = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	pemKey  = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp\n-----END PRIVATE KEY-----"
)

// hiding fails the test for each secret that text holds.
func hiding(t *testing.T, what, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		for _, line := range strings.Split(text, "\n") {
			if strings.Contains(line, s) {
				t.Errorf("%s: a secret is in %.300q", what, line)
			}
		}
	}
}

// TestNoSecretIsExported feeds secrets to everything that a caller can fill, and looks for them in all that comes out.
func TestNoSecretIsExported(t *testing.T) {
	c := newCollector(t)
	var logged bytes.Buffer
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url, ContinueTraces: true, Tools: []string{"hello"}})
	logger := slog.New(tel.LogHandler(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	w := guardtest.New(t)
	g := w.Guard(withRules(tel), func(c *guard.Config) { c.Logger = logger })
	agent := w.Agent(badge.LevelDomain)
	genuine := agent.Call("level2", `{"password":"hunter2-in-arguments"}`)
	secrets := []string{genuine.Badge, genuine.Proof, genuine.Badge[20:60], genuine.Proof[20:60], jwkPart, "hunter2", "MC4CAQAwBQYDK2Vw"}

	for _, secret := range []string{genuine.Badge, genuine.Proof, jwk, pemKey, "password=hunter2", "https://ada:hunter2@h.example/?token=hunter2"} {
		for _, r := range hostile(genuine, secret) {
			grant, err := g.Check(t.Context(), r)
			if err == nil {
				err = grant.Finish(t.Context(), guard.Outcome{ErrorClass: secret, Result: []byte(secret)})
			}
			logger.Warn("guarded "+secret, "error", fmt.Errorf("it failed: %w", errors.New(secret)), "badge", secret, "value", secret)
			if err != nil {
				logger.Error("refused", "error", err, "request", fmt.Sprintf("%+v", r))
			}
		}
		g.Refuse(t.Context(), &guard.Request{Method: secret, RequestID: secret}, guard.CodeRequestMalformed, guard.CauseParamsMalformed)
	}
	spans, logs := c.flushed(tel)
	if len(spans) < 50 || len(logs) < 100 || logged.Len() == 0 {
		t.Fatalf("%d spans, %d logs, %d bytes of log: nothing was tested", len(spans), len(logs), logged.Len())
	}
	hiding(t, "export", c.raw.String(), secrets...)
	hiding(t, "metrics", scrape(t, tel), secrets...)
	hiding(t, "log", logged.String(), secrets...)
}

// hostile are copies of a request with a secret in the place of each thing that a caller chooses.
func hostile(genuine *guard.Request, secret string) []*guard.Request {
	var out []*guard.Request
	for _, put := range []func(r *guard.Request){
		func(*guard.Request) {},
		func(r *guard.Request) { r.Badge = secret },
		func(r *guard.Request) { r.Proof = secret },
		func(r *guard.Request) { r.TxnID = secret },
		func(r *guard.Request) { r.Method = secret },
		func(r *guard.Request) { r.Capability.Name = secret },
		func(r *guard.Request) {
			r.Capability = guard.Capability{Kind: guard.KindResource, Name: "file:///" + secret}
		},
		func(r *guard.Request) { r.Capability = guard.Capability{Kind: guard.Kind(secret), Name: "x " + secret} },
		func(r *guard.Request) { r.Capability = guard.Capability{Kind: guard.KindPrompt, Name: secret + " x"} },
		func(r *guard.Request) { r.RequestID = secret },
		func(r *guard.Request) { r.TraceID, r.TraceParent = secret, secret },
		func(r *guard.Request) { r.TraceParent, r.TraceState = callersParent, "a="+secret },
		func(r *guard.Request) { r.Transport = secret },
		func(r *guard.Request) { r.Target = secret },
		func(r *guard.Request) { r.Arguments, _ = json.Marshal(map[string]string{"x": secret}) },
		func(r *guard.Request) {
			r.Claimed = guard.Claimed{Actor: secret, Policy: secret, Mode: secret, Approval: secret}
		},
	} {
		for _, name := range []string{"open", "shut"} {
			r := *genuine
			r.Capability = guard.Capability{Kind: guard.KindTool, Name: name}
			r.Badge, r.Proof, r.TxnID = "", "", ""
			put(&r)
			out = append(out, &r)
		}
	}
	return append(out, genuine)
}

// TestLogHandler: secrets by name, and by shape, wherever they stand.
func TestLogHandler(t *testing.T) {
	secret := strings.Repeat("s3cr3t", 3)
	token := "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
	for _, test := range []struct {
		name string
		log  func(*slog.Logger)
		want string // of the text log, behind msg
	}{
		{"by name", func(l *slog.Logger) {
			l.Info("x", "badge", secret, "call_proof", secret, "APIKey", secret, "Authorization", secret)
		},
			"msg=x badge=[redacted] call_proof=[redacted] APIKey=[redacted] Authorization=[redacted]"},
		{"what is none", func(l *slog.Logger) {
			l.Info("x", "badge_id", "b1", "key_id", "k1", "tokens", 3, "kid", "k", "hash", "sha256:abc")
		},
			"msg=x badge_id=b1 key_id=k1 tokens=[redacted] kid=k hash=sha256:abc"},
		{"empty", func(l *slog.Logger) { l.Info("x", "badge", "") }, `msg=x badge=""`},
		{"message", func(l *slog.Logger) { l.Info("got " + token + " from a") }, `msg="got [redacted] from a"`},
		{"error", func(l *slog.Logger) { l.Info("x", "error", errors.New("Bearer "+secret)) }, `msg=x error="Bearer [redacted]"`},
		{"header", func(l *slog.Logger) {
			l.Info("x", "h", http.Header{"Authorization": {"Bearer " + secret}, "Accept": {"a"}})
		}, `msg=x h="map[Accept:[a] Authorization:[redacted]]"`},
		{"struct", func(l *slog.Logger) { l.Info("x", "v", struct{ Password string }{secret}) }, `msg=x v={Password:[redacted]}`},
		{"map in a struct", func(l *slog.Logger) {
			l.Info("x", "v", struct{ H map[string][]string }{map[string][]string{"Authorization": {"Bearer " + secret}}})
		}, `msg=x v="{H:map[Authorization:[Bearer [redacted]]]}"`},
		{"octets", func(l *slog.Logger) { l.Info("x", "v", []byte("password="+secret)) }, `msg=x v="password=[redacted]"`},
		{"group", func(l *slog.Logger) { l.WithGroup("g").Info("x", slog.Group("h", "token", secret, "n", 1)) }, `msg=x g.h.token=[redacted] g.h.n=1`},
		{"with", func(l *slog.Logger) { l.With("secret", secret).WithGroup("g").With("v", token).Info("x", "n", true) },
			`msg=x secret=[redacted] g.v=[redacted] g.n=true`},
		{"valuer", func(l *slog.Logger) { l.Info("x", "v", valuer(token)) }, `msg=x v=[redacted]`},
		{"nil", func(l *slog.Logger) { l.Info("x", "v", nil) }, `msg=x v=<nil>`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			test.log(slog.New(telemetry.NewLogHandler(slog.NewTextHandler(&out, nil))))
			_, got, _ := strings.Cut(out.String(), "level=INFO ")
			if got = strings.TrimSpace(got); got != test.want {
				t.Errorf("logged %s\nwant   %s", got, test.want)
			}
			hiding(t, "log", out.String(), secret, token)
		})
	}
}

type valuer string

func (v valuer) LogValue() slog.Value { return slog.StringValue(string(v)) }

// TestLogExport: logs are exported as they are written, in groups or not, from Info on.
type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

// An error that panics when it is asked what it says does not end the one who logs it.
func TestLogOfAnErrorThatPanics(t *testing.T) {
	var out strings.Builder
	log := slog.New(telemetry.NewLogHandler(slog.NewTextHandler(&out, nil)))
	log.Error("went wrong", "error", error((*brokenError)(nil)))
	if !strings.Contains(out.String(), "error=<nil>") {
		t.Error(out.String())
	}
}

func TestLogExport(t *testing.T) {
	c := newCollector(t)
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url})
	l := slog.New(tel.LogHandler(slog.DiscardHandler))
	l.With("a", 1).WithGroup("g").With("b", 2).Warn("x", "token", "t", slog.Group("h", "c", 3))
	l.Debug("y")
	_, logs := c.flushed(tel)
	if len(logs) != 1 || logs[0].Body.GetStringValue() != "x" || logs[0].SeverityText != "WARN" || logs[0].SeverityNumber.String() != "SEVERITY_NUMBER_WARN" {
		t.Fatalf("exported %v", logs)
	}
	got := fmt.Sprint(attributesOf(logs[0].Attributes))
	if want := "map[a:1 g.b:2 g.h.c:3 g.token:[redacted]]"; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
}
