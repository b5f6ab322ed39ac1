package tlogclient

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
)

// What compression may cost: so many bundles at a time, each up to so many bytes, and so many that wait in memory for a
// client to read them. What finds no place is sent as it is.
const (
	maxCompressBytes = 512 << 10
	maxCompressed    = 64
)

// maxCompressing leaves at least half of the machine to those who ask for something else.
func maxCompressing() int { return min(4, max(1, runtime.GOMAXPROCS(0)/2)) }

// writers are used again: one takes more memory than what it writes.
var writers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("tlogclient: internal error: " + err.Error()) // the level is one
	}
	return z
}}

// compress returns c as gzip, and then one of the places of what is compressed is taken; nil when the client has not
// asked for that, or for a part of c, and when it would cost too much.
func (h *handler) compress(r *http.Request, c *content) []byte {
	if r.Header.Get("Range") != "" || !acceptsGzip(r.Header) || c.size > maxCompressBytes || !h.compressed.take() {
		return nil
	}
	z := h.zip(c)
	if z == nil {
		h.compressed.release()
	}
	return z
}

// zip compresses c, if there is a place for that. It is given back before anything is sent: a client that is slow to read
// costs no time.
func (h *handler) zip(c *content) []byte {
	if !h.compressing.take() {
		return nil
	}
	defer h.compressing.release()
	z := writers.Get().(*gzip.Writer) //nolint:errcheck // nothing else is in it
	defer writers.Put(z)
	var out bytes.Buffer
	z.Reset(&out)
	_, err := io.Copy(z, io.LimitReader(c, maxCompressBytes))
	if err == nil {
		err = z.Close()
	}
	if _, rewound := c.Seek(0, io.SeekStart); err != nil || rewound != nil {
		return nil
	}
	return out.Bytes()
}

// acceptsGzip looks for gzip with any weight but zero.
func acceptsGzip(h http.Header) bool {
	for _, field := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				weight = strings.ReplaceAll(weight, " ", "")
				return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
			}
		}
	}
	return false
}
