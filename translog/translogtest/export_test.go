package translogtest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Checks are the names of all parts of the conformance test.
func Checks() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

// Failure runs one part on an installation and returns what it said, "" if it passed or does not apply.
func Failure(t *testing.T, name string, in *Installation, patience time.Duration) string {
	t.Helper()
	for _, c := range checks {
		if c.name != name || c.needs != nil && !c.needs(in) {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.on(r, in, patience)
		}()
		<-done
		return r.said
	}
	return ""
}

// A recorder is a test that may fail.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said string
}

func (r *recorder) say(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said += text + "\n"
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said != ""
}

func (r *recorder) Errorf(format string, args ...any) { r.say(fmt.Sprintf(format, args...)) }
func (r *recorder) Error(args ...any)                 { r.say(fmt.Sprint(args...)) }
func (r *recorder) FailNow()                          { runtime.Goexit() }
func (r *recorder) Logf(string, ...any)               {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	r.FailNow()
}
