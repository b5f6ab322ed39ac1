package authoritytest

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Paths of endpoints, for [Fault] and [Authority.Asked]. Those that name an
// agent or a badge are the ends of their paths.
const (
	PathKeySet         = "/.well-known/jwks.json"
	PathRevocationList = "/v1/revocations/list"
	PathChallenge      = "/badge/challenge"
	PathBadge          = "/badge"
	PathStatus         = "/status"
	PathDocument       = "/did.json"
)

// A Fault is what an [Authority] does instead of answering, or to its answers.
// The zero Fault does nothing.
type Fault struct {
	// Path limits the fault to requests whose path ends in it; empty is all.
	Path string

	// Times is after how many requests the fault is over; zero is never.
	Times int

	// Unreachable drops connections without an answer.
	Unreachable bool

	// Delay is for how long nothing is done, unless the client leaves sooner.
	Delay time.Duration

	// Status, if not zero, is answered with Body, and the authority is not
	// asked.
	Status int
	Body   string

	// RetryAfter, if not zero, is told in whole seconds.
	RetryAfter time.Duration

	// Location, if set, is sent as the header of that name.
	Location string

	// Rewrite, if set, changes the body of the answer.
	Rewrite func(body []byte) []byte
}

// Refusal is a Fault that refuses as an authority does.
func Refusal(status int, code string, retryAfter time.Duration) Fault {
	return Fault{Status: status, Body: `{"error":` + strconv.Quote(code) + `,"message":"test"}`, RetryAfter: retryAfter}
}

type faults struct {
	now   *Fault
	left  int
	list  []byte                       // the revocation list that is given out, if any
	other map[string]ed25519.PublicKey // keys that are published in place of those that sign
	asked map[string]int
}

// Break brings a fault about, in place of the one before. Break with the zero
// Fault repairs everything that Break did.
func (a *Authority) Break(f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults.now, a.faults.left = &f, f.Times
}

// FreezeList gives out, from now on, the revocation list of this moment; thaw
// ends that.
func (a *Authority) FreezeList() (thaw func()) {
	a.t.Helper()
	list := []byte(a.List())
	a.setList(list)
	return func() { a.setList(nil) }
}

func (a *Authority) setList(list []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults.list = list
}

// List returns the signed revocation list of this moment.
func (a *Authority) List() string {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, a.Issuer+PathRevocationList, nil))
	if w.Code != http.StatusOK {
		a.t.Fatalf("authoritytest: revocation list: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// PublishOtherKeys publishes other keys than those that sign, under the same
// ids; restore ends that.
func (a *Authority) PublishOtherKeys() (restore func()) {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, a.Issuer+PathKeySet, nil))
	set, err := jwk.ParseSet(w.Body.Bytes())
	a.must(err)
	other := make(map[string]ed25519.PublicKey)
	for _, k := range set {
		other[k.KeyID] = badgetest.NewKey(a.t).Public().(ed25519.PublicKey)
	}
	a.setOther(other)
	return func() { a.setOther(nil) }
}

func (a *Authority) setOther(keys map[string]ed25519.PublicKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults.other = keys
}

// Asked returns how many requests came whose path ends in path.
func (a *Authority) Asked(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for asked, times := range a.faults.asked {
		if strings.HasSuffix(asked, path) {
			n += times
		}
	}
	return n
}

// ServeHTTP answers as the authority does, or as the fault has it.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, f := a.enter(r)
	if f.Unreachable {
		panic(http.ErrAbortHandler)
	}
	if f.Delay > 0 && !a.hold(r, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	if f.Location != "" {
		w.Header().Set("Location", f.Location)
	}
	switch {
	case f.Status != 0:
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.Rewrite != nil:
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		_, _ = w.Write(f.Rewrite(answer.Body.Bytes()))
	default:
		handler.ServeHTTP(w, r)
	}
}

// hold does nothing for a time, and reports whether anybody still waits.
func (a *Authority) hold(r *http.Request, d time.Duration) bool {
	body, err := io.ReadAll(r.Body) // or the server does not see the client leave
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-r.Context().Done():
		return false
	case <-a.over:
		return false
	case <-time.After(d):
		return true
	}
}

// enter counts a request, and returns who answers it and what goes wrong.
func (a *Authority) enter(r *http.Request) (http.Handler, Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path, state := r.URL.Path, &a.faults
	state.asked[path]++
	handler := a.handler
	switch {
	case handler == nil:
		handler = http.NotFoundHandler()
	case path == PathRevocationList && state.list != nil:
		list := state.list
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) })
	case path == PathKeySet && state.other != nil:
		handler = keySetOf(state.other)
	}
	if state.now == nil || !strings.HasSuffix(path, state.now.Path) {
		return handler, Fault{}
	}
	f := *state.now
	if f.Times > 0 {
		if state.left--; state.left == 0 {
			state.now = nil
		}
	}
	return handler, f
}

func keySetOf(keys map[string]ed25519.PublicKey) http.Handler {
	var set []*jwk.Public
	for id, key := range keys {
		set = append(set, &jwk.Public{Key: key, KeyID: id, Alg: jwk.AlgEd25519, Use: "sig"})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text, err := jwk.MarshalSet(set)
		if err != nil {
			panic("authoritytest: internal error: " + err.Error())
		}
		_, _ = w.Write(text)
	})
}
