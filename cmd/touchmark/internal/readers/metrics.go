package readers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// What is asked for, as it is counted: no name of a reader's is.
var resources = [...]string{"checkpoint", "checkpoint.cosigned", "tile", "entries", "verify", "other"}

// What is answered: the classes of status, and what stands for itself.
var answers = [...]string{"ok", "partial_content", "not_modified", "not_found", "too_many_requests", "unavailable", "other"}

type counts struct {
	requests [len(resources)][len(answers)]atomic.Uint64
	bytes    atomic.Uint64
}

// A counter notes what is answered.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counts) add(r *http.Request, w *counter) {
	c.requests[resourceOf(r.URL.Path)][answerOf(w.status)].Add(1)
	c.bytes.Add(uint64(w.bytes)) //nolint:gosec // not negative
}

func resourceOf(path string) int {
	name := strings.TrimPrefix(path, "/")
	switch {
	case strings.HasPrefix(name, "tile/entries/"):
		name = "entries"
	case strings.HasPrefix(name, "tile/"):
		name = "tile"
	}
	for i, one := range resources[:len(resources)-1] {
		if name == one {
			return i
		}
	}
	return len(resources) - 1
}

func answerOf(status int) int {
	for i, one := range [...]int{
		http.StatusOK, http.StatusPartialContent, http.StatusNotModified, http.StatusNotFound, http.StatusTooManyRequests, http.StatusServiceUnavailable,
	} {
		if status == one || status == 0 && i == 0 {
			return i
		}
	}
	return len(answers) - 1
}

// WriteMetrics writes what was counted in the text format of Prometheus.
func (l *Limits) WriteMetrics(w io.Writer) error {
	var b strings.Builder
	head := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	const requests = "touchmark_log_requests_total"
	head(requests, "counter", "Requests of readers, by what they asked for and what they were answered.")
	for i, what := range resources {
		for j, answer := range answers {
			if n := l.counts.requests[i][j].Load(); n > 0 {
				fmt.Fprintf(&b, "%s{resource=%q,answer=%q} %d\n", requests, what, answer, n)
			}
		}
	}
	one := func(name, kind, help string, value any) {
		head(name, kind, help)
		fmt.Fprintf(&b, "%s %v\n", name, value)
	}
	l.slots.mu.Lock()
	refused, evicted, open := l.slots.refused, l.slots.evicted, len(l.slots.all)
	l.slots.mu.Unlock()
	one("touchmark_log_sent_bytes_total", "counter", "Octets of answers.", l.counts.bytes.Load())
	one("touchmark_log_connections", "gauge", "Connections that are open.", open)
	one("touchmark_log_connections_refused_total", "counter", "Connections that were closed, or requests of a proxy that were not answered, because one address had too many.", refused)
	one("touchmark_log_connections_evicted_total", "counter", "Connections that were closed to have room for others.", evicted)
	one("touchmark_log_addresses", "gauge", "Addresses and networks whose requests are counted.", l.rates.len())
	_, err := io.WriteString(w, b.String())
	return err
}
