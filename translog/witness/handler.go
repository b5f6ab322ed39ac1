package witness

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/translog"
)

const maxInFlight = 64 // requests that are answered at a time

// ServeHTTP answers add-checkpoint at the end of any path.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "no-store")
	switch {
	case !strings.HasSuffix(r.URL.Path, addPath):
		http.Error(rw, "not found", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	select {
	case w.inFlight <- struct{}{}:
		defer func() { <-w.inFlight }()
	default:
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, "busy", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, MaxRequestBytes))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(rw, "the request cannot be read", status)
		return
	}
	req, err := ParseRequest(body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := w.Cosign(req)
	if err != nil {
		refuse(rw, err)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = rw.Write(line) // the client may be gone
}

// refuse answers with the status that the protocol has for an error.
func refuse(rw http.ResponseWriter, err error) {
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		rw.Header().Set("Content-Type", SizeType)
		rw.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(rw, strconv.FormatUint(conflict.Size, 10)+"\n")
		return
	}
	status := http.StatusInternalServerError
	switch translog.CodeOf(err) {
	case "":
		if errors.Is(err, errInvalid) {
			status = http.StatusBadRequest
		}
	case translog.CodeOriginUnknown:
		status = http.StatusNotFound
	case translog.CodeCheckpointSignatureInvalid:
		status = http.StatusForbidden
	case translog.CodeForked:
		status = http.StatusConflict
	case translog.CodeConsistencyInvalid:
		status = http.StatusUnprocessableEntity
	default:
		status = http.StatusBadRequest
	}
	if status == http.StatusInternalServerError {
		http.Error(rw, "the witness cannot sign now", status) // what is wrong here is not the log's business
		return
	}
	http.Error(rw, err.Error(), status)
}
