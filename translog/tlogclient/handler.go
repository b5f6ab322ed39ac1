package tlogclient

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strconv"
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
// has a path, on a server with timeouts. Answers say how long they may be kept, and conditional requests
// and ranges are understood (spec/serving.md). Everything in it is public: a record
// that must stay private does not belong in a log.
func Handler(dir string) http.Handler {
	return &handler{
		dir: dir, opening: make(places, maxServing), sending: make(places, maxServing), compressing: make(places, maxCompressing),
	}
}

type handler struct {
	dir     string
	opening places
	sending places // of large resources

	compressing places
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

// What caches may do (spec/serving.md section 2). What lies under a full path never changes, and stays; a partial one is
// superseded, and may go.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheShort   = "public, max-age=60"
	cacheLatest  = "public, max-age=1, must-revalidate"
)

// A resource is what a path asks for.
type resource struct {
	path, contentType, cache string
	compress                 bool
}

func parsePath(path string) (resource, bool) {
	path = strings.TrimPrefix(path, "/")
	cache := cacheForever
	if strings.Contains(path, ".p/") {
		cache = cacheShort
	}
	switch {
	case path == "checkpoint", path == CosignedName:
		return resource{path, "text/plain; charset=utf-8", cacheLatest, false}, true
	case tilePath.MatchString(path):
		return resource{path, "application/octet-stream", cache, false}, true
	case entriesPath.MatchString(path):
		return resource{path, "application/octet-stream", cache, true}, true
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
	c, err := h.open(res)
	switch {
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "busy", http.StatusServiceUnavailable)
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "not found", http.StatusNotFound)
	case err != nil:
		http.Error(w, "cannot read the log", http.StatusInternalServerError)
	default:
		defer c.Close()
		h.serve(w, r, c, res)
	}
}

var errBusy = errors.New("tlogclient: too many requests at a time")

// content is what lies under a path, and the entity tag that tells it from what lay there before.
type content struct {
	io.ReadSeekCloser
	tag      string
	modified time.Time // zero where a second is too long a time
	size     int64
}

// open opens a resource: in memory when it is small, else as a file, with the
// place that it takes until it is closed.
func (h *handler) open(res resource) (*content, error) {
	if !h.opening.take() {
		return nil, errBusy
	}
	defer h.opening.release()
	f, info, err := openFile(h.dir, res.path)
	if err != nil {
		return nil, err
	}
	c := &content{modified: info.ModTime(), size: info.Size()}
	if c.size > smallBytes {
		if h.sending.take() {
			// It has been written once and for all, under this name.
			c.tag = fmt.Sprintf("%x-%x", c.size, info.ModTime().UnixNano())
			c.ReadSeekCloser = &large{f, h.sending}
			return c, nil
		}
		f.Close()
		return nil, errBusy
	}
	defer f.Close()
	data, err := readAll(f, res.path, smallBytes)
	sum := sha256.Sum256(data)
	c.tag = base64.RawURLEncoding.EncodeToString(sum[:16])
	c.ReadSeekCloser = small{bytes.NewReader(data)}
	if res.cache == cacheLatest {
		c.modified = time.Time{} // checkpoints change more often than once a second
	}
	return c, err
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

// serve answers a request for c: conditional ones and ranges too.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, c *content, res resource) {
	header := w.Header()
	header.Set("Content-Type", res.contentType)
	header.Set("Cache-Control", res.cache)
	header.Set("ETag", `"`+c.tag+`"`)
	var body io.ReadSeeker = c
	if res.compress {
		header.Set("Vary", "Accept-Encoding")
		if z := h.compressed(r, c); z != nil {
			// Another representation, with a tag of its own. Ranges are of the octets as they are.
			header.Set("Content-Encoding", "gzip")
			header.Set("ETag", `"`+c.tag+`-gzip"`)
			header.Set("Content-Length", strconv.Itoa(len(z)))
			body = bytes.NewReader(z)
		}
	}
	http.ServeContent(w, r, "", c.modified, body)
}
