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

	"github.com/transparency-dev/tessera/api/layout"
)

// maxReading is how many requests a handler reads the log for at a time. Beyond
// it the answer is 503. No client has a part in how long that takes.
const maxReading = 128

// smallBytes is the size up to which a resource is read before any of it is sent:
// checkpoints, tiles and most bundles. Of what is larger, the file is open until
// it is sent.
const smallBytes = 64 << 10

// tilePath are the resources of C2SP tlog-tiles beside the checkpoint: level, index and width. An index has one spelling
// that [parsePart] takes.
var tilePath = regexp.MustCompile(`^tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))?$`)

// Handler serves the log in dir at the paths of C2SP tlog-tiles: the checkpoint,
// the cosigned one beside it ([CosignedName]), the tiles, the entry bundles, and nothing else that lies there, such as the
// engine's .state, nor tiles of entries that the checkpoint there does not cover. Mount it behind http.StripPrefix when
// the log's URL prefix has a path, on a server with timeouts and with a bound on its connections: each may have a file
// open. Answers say how long they may be kept, and conditional requests
// and ranges are understood (spec/serving.md). Everything in it is public: a record
// that must stay private does not belong in a log.
func Handler(dir string) http.Handler {
	return &handler{
		dir: dir, reading: make(places, maxReading), compressing: make(places, maxCompressing()), compressed: make(places, maxCompressed),
	}
}

type handler struct {
	dir     string
	reading places
	shown   shown

	compressing places
	compressed  places // what is being sent
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
	part                     part // of the tree; nothing for a checkpoint
}

func parsePath(path string) (resource, bool) {
	path = strings.TrimPrefix(path, "/")
	if path == layout.CheckpointPath || path == CosignedName {
		return resource{path: path, contentType: "text/plain; charset=utf-8", cache: cacheLatest}, true
	}
	m := tilePath.FindStringSubmatch(path)
	if m == nil {
		return resource{}, false
	}
	res := resource{path: path, contentType: "application/octet-stream", cache: cacheForever, compress: m[1] == "entries"}
	if m[3] != "" {
		res.cache = cacheShort
	}
	var ok bool
	res.part, ok = parsePart(m[1], m[2], m[3])
	return res, ok
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

// open opens a resource: in memory when it is small, else as a file.
func (h *handler) open(res resource) (*content, error) {
	if !h.reading.take() {
		return nil, errBusy
	}
	defer h.reading.release()
	root, err := os.OpenRoot(h.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// First the checkpoint, then the tile: what a checkpoint covers does not change from then on, and did until then.
	if err := h.shown.covers(root, res.part); err != nil {
		return nil, err
	}
	f, info, err := openIn(root, res.path)
	if err != nil {
		return nil, err
	}
	c := &content{modified: info.ModTime(), size: info.Size()}
	if c.size > smallBytes {
		// It has been written once and for all, under this name.
		c.tag = fmt.Sprintf("%x-%x", c.size, info.ModTime().UnixNano())
		c.ReadSeekCloser = f
		return c, nil
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

// serve answers a request for c: conditional ones and ranges too.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, c *content, res resource) {
	if strings.Contains(r.Header.Get("Range"), ",") {
		// What is said about each part can be much more than the part, and than the request.
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	header := w.Header()
	header.Set("Content-Type", res.contentType)
	header.Set("Cache-Control", res.cache)
	header.Set("ETag", `"`+c.tag+`"`)
	var body io.ReadSeeker = c
	if res.compress {
		header.Set("Vary", "Accept-Encoding")
		if z := h.compress(r, c); z != nil {
			defer h.compressed.release()
			// Another representation, with a tag of its own. Ranges are of the octets as they are.
			header.Set("Content-Encoding", "gzip")
			header.Set("ETag", `"`+c.tag+`-gzip"`)
			header.Set("Content-Length", strconv.Itoa(len(z)))
			body = bytes.NewReader(z)
		}
	}
	http.ServeContent(w, r, "", c.modified, body)
}
