package tlogclient

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// maxServing is how many requests a handler has a file open for at a time, and
// again how many answers of more than smallBytes it sends. Beyond it the answer
// is 503.
const maxServing = 128

// smallBytes is the size up to which a resource is read before any of it is sent:
// checkpoints, tiles and most bundles. A client that is slow to read them holds
// nothing that others wait for.
const smallBytes = 64 << 10

// The resources of C2SP tlog-tiles, with one spelling each.
const (
	widthPattern = `(?:\.p/(?:[1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))?`
	indexPattern = `/(?:x[0-9]{3}/){0,6}[0-9]{3}` + widthPattern
)

var (
	tilePath    = regexp.MustCompile(`^tile/(?:[0-9]|[1-5][0-9]|6[0-3])` + indexPattern + `$`)
	entriesPath = regexp.MustCompile(`^tile/entries` + indexPattern + `$`)
)

// Handler serves the log in dir at the paths of C2SP tlog-tiles: the checkpoint,
// the cosigned one beside it ([CosignedName]), the tiles, the entry bundles, and nothing else that lies there, such as the
// engine's .state. Mount it behind http.StripPrefix when the log's URL prefix
// has a path, on a server with timeouts. Everything in it is public: a record
// that must stay private does not belong in a log.
func Handler(dir string) http.Handler {
	return &handler{dir: dir, opening: make(places, maxServing), sending: make(places, maxServing)}
}

type handler struct {
	dir     string
	opening places
	sending places // of large resources
}

// places are as many as the channel has room for.
type places chan struct{}

// take takes a place if there is one.
func (p places) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p places) release() { <-p }

// A resource is what a path asks for.
type resource struct {
	path, contentType, cache string
	compress                 bool
}

func parsePath(path string) (resource, bool) {
	// What lies under a tile's path never changes.
	const forever = "public, max-age=31536000, immutable"
	path = strings.TrimPrefix(path, "/")
	switch {
	case path == "checkpoint", path == CosignedName:
		return resource{path, "text/plain; charset=utf-8", "no-store", false}, true
	case tilePath.MatchString(path):
		return resource{path, "application/octet-stream", forever, false}, true
	case entriesPath.MatchString(path):
		return resource{path, "application/octet-stream", forever, true}, true
	default:
		return resource{}, false
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	res, ok := parsePath(r.URL.Path)
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	content, err := h.open(res.path)
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "busy", http.StatusServiceUnavailable)
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "not found", http.StatusNotFound)
	case err != nil:
		http.Error(w, "cannot read the log", http.StatusInternalServerError)
	default:
		defer content.Close()
		serve(w, r, content, res)
	}
}

var errBusy = errors.New("tlogclient: too many requests at a time")

// open opens a resource: in memory when it is small, else as a file, with the
// place that it takes until it is closed.
func (h *handler) open(path string) (io.ReadSeekCloser, error) {
	if !h.opening.take() {
		return nil, errBusy
	}
	defer h.opening.release()
	f, size, err := openFile(h.dir, path)
	if err != nil {
		return nil, err
	}
	if size > smallBytes {
		if h.sending.take() {
			return &large{f, h.sending}, nil
		}
		f.Close()
		return nil, errBusy
	}
	defer f.Close()
	data, err := readAll(f, path, smallBytes)
	return small{bytes.NewReader(data)}, err
}

type small struct{ *bytes.Reader }

func (small) Close() error { return nil }

type large struct {
	*os.File
	sending places
}

func (l *large) Close() error {
	l.sending.release()
	return l.File.Close()
}

func serve(w http.ResponseWriter, r *http.Request, content io.ReadSeeker, res resource) {
	w.Header().Set("Content-Type", res.contentType)
	w.Header().Set("Cache-Control", res.cache)
	if res.compress {
		w.Header().Set("Vary", "Accept-Encoding")
		if r.Method == http.MethodGet && acceptsGzip(r.Header) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			// A client that went away is no event.
			_, _ = io.Copy(z, content)
			_ = z.Close()
			return
		}
	}
	// No modification time: checkpoints change more often than once a second.
	http.ServeContent(w, r, "", time.Time{}, content)
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
