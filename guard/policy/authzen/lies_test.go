package authzen_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// hangs answers nothing, until the client is gone.
func hangs(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) //nolint:errcheck // the server notices a closed connection only then
	<-r.Context().Done()
}

// drips answers well, one byte at a time, and never ends.
func drips(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) //nolint:errcheck // as above
	reply(w, r, yes)
	for r.Context().Err() == nil {
		io.WriteString(w, " ") //nolint:errcheck // the client may be gone
		w.(http.Flusher).Flush()
		time.Sleep(time.Millisecond)
	}
}

func header(name, value, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []struct{ name, value string }{
			{"Content-Type", "application/json"}, {"X-Request-ID", r.Header.Get("X-Request-ID")}, {name, value},
		} {
			w.Header().Set(h.name, h.value)
		}
		io.WriteString(w, text) //nolint:errcheck // the client may be gone
	}
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-ID", r.Header.Get("X-Request-ID"))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		io.WriteString(w, text) //nolint:errcheck // the client may be gone
	}
}

// lies are what a service may do in place of an answer. Each says yes in a way that must not count.
var lies = map[string]http.HandlerFunc{
	"nothing at all":              hangs,
	"a byte at a time, forever":   drips,
	"an empty body":               answers(``),
	"not JSON":                    answers(`yes`),
	"a broken body":               answers(`{"decision":true`),
	"text after it":               answers(yes + `{"decision":false}`),
	"an array":                    answers(`[` + yes + `]`),
	"null":                        answers(`null`),
	"an empty object":             answers(`{}`),
	"a string":                    answers(`{"decision":"true"}`),
	"a number":                    answers(`{"decision":1}`),
	"null for a decision":         answers(`{"decision":null}`),
	"two decisions":               answers(`{"decision":false,"decision":true}`),
	"two, by an escape":           answers(`{"decision":true,"decisio\u006e":false}`),
	"another case":                answers(`{"Decision":true}`),
	"another case beside":         answers(`{"decision":true,"DECISION":false}`),
	"decisions about a list":      answers(`{"evaluations":[` + yes + `]}`),
	"the answer of OPA":           answers(`{"result":` + yes + `}`),
	"invalid UTF-8":               answers("{\"decision\":true,\"a\":\"\xff\"}"),
	"a byte order mark":           answers("\ufeff" + yes),
	"very deep":                   answers(`{"decision":true,"context":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 101)),
	"a huge body":                 answers(`{"decision":true,"context":{"a":"` + strings.Repeat("a", authzen.MaxResponseBytes) + `"}}`),
	"a context that is none":      answers(`{"decision":true,"context":[]}`),
	"a null context":              answers(`{"decision":true,"context":null}`),
	"obligations that are none":   answers(`{"decision":true,"context":{"obligations":{}}}`),
	"null obligations":            answers(`{"decision":true,"context":{"obligations":null}}`),
	"obligations in another case": answers(`{"decision":true,"context":{"Obligations":[]}}`),
	"an obligation without id":    answers(`{"decision":true,"context":{"obligations":[{"type":"custom","properties":{}}]}}`),
	"an obligation without type":  answers(`{"decision":true,"context":{"obligations":[{"id":"1","properties":{}}]}}`),
	"an obligation of nothing":    answers(`{"decision":true,"context":{"obligations":[{"id":"1","type":"custom"}]}}`),
	"two obligations in one": answers(`{"decision":true,"context":{"obligations":[{"id":"1","type":"a","properties":{}},` +
		`{"id":"1","type":"b","properties":{}}]}}`),
	"too many obligations":       answers(`{"decision":true,"context":{"obligations":[` + strings.Repeat(`{},`, 16) + `{}]}}`),
	"yes, if it is asked for":    answers(`{"decision":true,"context":{"access_request":{}}}`),
	"a version with a line feed": answers(`{"decision":true,"context":{"policy_version":"a\nb"}}`),
	"a version that is a number": answers(`{"decision":true,"context":{"policy_version":1}}`),
	"another content type":       header("Content-Type", "text/html", yes),
	"no content type":            header("Content-Type", "", yes),
	"an encoding":                header("Content-Encoding", "gzip", yes),
	"another request":            header("X-Request-ID", "another", yes),
	"no request":                 header("X-Request-ID", "", yes),
	"a header without end":       header("X-Padding", strings.Repeat("a", 1<<20), yes),
	"a redirect":                 status(http.StatusTemporaryRedirect, yes),
	"a redirect that moves":      status(http.StatusMovedPermanently, yes),
	"no content":                 status(http.StatusNoContent, ""),
	"created":                    status(http.StatusCreated, yes),
	"unauthorized":               status(http.StatusUnauthorized, yes),
	"an error":                   status(http.StatusInternalServerError, yes),
	"a length that is not":       header("Content-Length", "1000", yes),
	"a connection that breaks":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"another protocol": func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(conn, "220 mail.example ESMTP\r\n") //nolint:errcheck // the client may be gone
			conn.Close()                                       //nolint:errcheck // as above
		}
	},
	"chunks without end": func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, `{"decision":true,"context":{"a":"`)
		for chunk := bytes.Repeat([]byte("a"), 1<<16); r.Context().Err() == nil; w.(http.Flusher).Flush() {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	},
}

// Whatever a service does in place of an answer, while calls are under way: every call is refused and recorded, none
// is allowed, and when it answers again calls are allowed again.
func TestServiceThatLies(t *testing.T) {
	before := runtime.NumGoroutine()
	w := guardtest.New(t)
	s := newService(t, answers(yes))
	// The first answer may take its time; what hangs is given up after less.
	patient, hasty := client(t, s.URL), client(t, s.URL, timeout(100*time.Millisecond))
	guards := map[bool]*guard.Guard{}
	for still, c := range map[bool]*authzen.Client{false: patient, true: hasty} {
		guards[still] = w.Guard(func(cfg *guard.Config) { cfg.Policy = authzen.All(local(t, readers), c) })
	}
	agent := w.Agent(badge.LevelDomain)
	denied, let := 0, 0
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			allowed(t, guards[false], agent.Call("read_file", `{}`))
			let++
			s.set(lie)
			defer s.set(answers(yes))
			still := name == "nothing at all" || name == "a byte at a time, forever" || name == "a length that is not"
			var wg sync.WaitGroup
			for range 4 {
				r := agent.Call("read_file", `{}`)
				wg.Go(func() { refused(t, guards[still], r) })
				denied++
			}
			wg.Wait()
		})
	}
	if allow, deny := recorded(w.Recorder); allow != let || deny != denied {
		t.Errorf("%d decisions allow and %d deny, want %d and %d", allow, deny, let, denied)
	}
	s.Close()
	patient.Close()
	hasty.Close()
	settle(t, before)
}

// An obligation that nobody here can meet makes yes a no.
func TestUnmetObligations(t *testing.T) {
	w := guardtest.New(t)
	s := newService(t, answers(yes))
	c := client(t, s.URL, func(cfg *authzen.Config) { cfg.Enforces = []string{guard.ConstraintRuntime} })
	g := w.Guard(func(cfg *guard.Config) { cfg.Policy = c })
	const one = `{"decision":%s,"context":{"obligations":[{"id":"1","type":%q,"properties":{%s}}]}}`
	for _, o := range []struct{ kind, properties string }{
		{"notification", `"to":"a","body":"b"`}, {"step-up", `"acr_value":"a"`}, {"custom", ``}, {"custom", `"vendor":"example"`},
		{"custom", `"vendor":"dev.touchmark"`}, {"custom", `"vendor":"dev.touchmark","max_runtime_sec":"3"`},
		{"custom", `"vendor":"dev.touchmark","max_runtime_sec":3,"watermark":"x"`}, {"custom", `"vendor":"dev.touchmark","max_runtime_sec":0`},
		{"custom", `"vendor":"dev.touchmark","rate_per_minute":3`}, {"Custom", `"vendor":"dev.touchmark","max_runtime_sec":3`},
	} {
		for _, decision := range []string{"true", "false"} {
			s.set(answers(fmt.Sprintf(one, decision, o.kind, o.properties)))
			d, err := c.Decide(t.Context(), input("read_file", ""))
			if err != nil || d.Kind != guard.Deny || d.Rule != "authzen.obligations" {
				t.Errorf("%s %+v: %+v, %v", decision, o, d, err)
			}
			if _, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("read_file", `{}`)); err == nil {
				t.Errorf("%s %+v: allowed", decision, o)
			}
		}
	}
}
