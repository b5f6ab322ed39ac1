package tlogclient

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// What compression may cost: so many bundles at a time, each up to so many bytes. What finds no place is sent as it is.
const (
	maxCompressing   = 4
	maxCompressBytes = 512 << 10
)

// compressed returns c as gzip, nil when the client has not asked for that, or for a part of c, and when it would cost
// too much. The place is given back before anything is sent: a client that is slow to read costs no time.
func (h *handler) compressed(r *http.Request, c *content) []byte {
	if r.Header.Get("Range") != "" || !acceptsGzip(r.Header) || c.size > maxCompressBytes || !h.compressing.take() {
		return nil
	}
	defer h.compressing.release()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(z, io.LimitReader(c, maxCompressBytes))
	}
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
