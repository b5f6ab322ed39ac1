package tlogclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/translog"
)

// The sizes of the largest resources that a log can have.
const (
	maxTileBytes   = layout.TileWidth * 32
	maxBundleBytes = layout.EntryBundleWidth * (2 + translog.MaxEntryBytes)
)

// A Source fetches a log's static resources. [Dir] and [HTTP] are the two we
// have. A partial of zero asks for the full tile or bundle. A resource that is
// not there is an error that is fs.ErrNotExist; falling back from a partial to
// the full resource is the client's business.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error)
	Entries(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// CosignedName is where, beside its own, a log publishes the latest checkpoint
// that witnesses have cosigned (spec/witness.md section 5). C2SP tlog-tiles has
// one checkpoint alone; a log that waits for its witnesses has no second one.
const CosignedName = "checkpoint.cosigned"

// A CosignedSource is a [Source] that may have a cosigned checkpoint too.
type CosignedSource interface {
	CosignedCheckpoint(ctx context.Context) ([]byte, error)
}

// fetcher makes a Source of anything that reads a path within a limit.
type fetcher func(ctx context.Context, path string, limit int64) ([]byte, error)

func (f fetcher) Checkpoint(ctx context.Context) ([]byte, error) {
	return f(ctx, layout.CheckpointPath, translog.MaxCheckpointBytes)
}

func (f fetcher) CosignedCheckpoint(ctx context.Context) ([]byte, error) {
	return f(ctx, CosignedName, translog.MaxCheckpointBytes)
}

func (f fetcher) Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	return f(ctx, layout.TilePath(level, index, partial), maxTileBytes)
}

func (f fetcher) Entries(ctx context.Context, index uint64, partial uint8) ([]byte, error) {
	return f(ctx, layout.EntriesPath(index, partial), maxBundleBytes)
}

// Dir reads a log from the directory in which an engine keeps it. It follows no
// link out of the directory, and reads regular files alone.
func Dir(dir string) Source {
	return fetcher(func(ctx context.Context, path string, limit int64) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, _, err := openFile(dir, path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(f, path, limit)
	})
}

// openFile opens a regular file below dir.
func openFile(dir, path string) (f *os.File, info fs.FileInfo, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	return openIn(root, path)
}

// openIn opens a regular file below root. It looks before it opens: nobody knows
// when a named pipe, which came with somebody's log, would open.
func openIn(root *os.Root, path string) (f *os.File, info fs.FileInfo, err error) {
	info, err = root.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if f, err = root.Open(path); err != nil {
		return nil, nil, err
	}
	return f, info, nil
}

// HTTPConfig says where and how to read a log over HTTP.
type HTTPConfig struct {
	// Prefix is the log's URL prefix, http or https; it has no default.
	Prefix string
	// Client makes the requests; nil means one with a timeout of 30 s that
	// follows no redirect.
	Client *http.Client
}

// HTTP reads a log over HTTP. Whoever answers is not believed, so that http
// without TLS costs privacy and not truth.
func HTTP(cfg *HTTPConfig) (Source, error) {
	prefix, err := url.Parse(cfg.Prefix)
	if err != nil {
		return nil, errors.New("tlogclient: want the http or https URL of a log, and this is no URL")
	}
	if prefix.Scheme != "https" && prefix.Scheme != "http" || prefix.Host == "" || prefix.RawQuery != "" {
		return nil, fmt.Errorf("tlogclient: %q is no http or https URL of a log", prefix.Redacted())
	}
	c := cfg.Client
	if c == nil {
		c = &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return fetcher(func(ctx context.Context, path string, limit int64) ([]byte, error) {
		return get(ctx, c, prefix.JoinPath(path), limit)
	}), nil
}

// How often, and how long, a server is waited for that says when to try again.
const (
	maxRetries    = 5
	maxRetryAfter = 10 * time.Second
)

// get fetches u. A server that is busy, or bounds how often one asks, is asked again when it says.
func get(ctx context.Context, c *http.Client, u *url.URL, limit int64) ([]byte, error) {
	for try := 0; ; try++ {
		data, wait, err := getOnce(ctx, c, u, limit)
		if wait == 0 || try == maxRetries {
			return data, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// getOnce returns beside an error how long to wait until it may be worth to ask again, 0 if it is not.
func getOnce(ctx context.Context, c *http.Client, u *url.URL, limit int64) (data []byte, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	name := u.Redacted() // for errors: it may hold a password
	res, err := c.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	err = fmt.Errorf("get %q: status %d", name, res.StatusCode)
	switch res.StatusCode {
	case http.StatusOK:
		data, err = readAll(res.Body, name, limit)
	case http.StatusNotFound, http.StatusGone:
		err = fmt.Errorf("get %q: %w", name, fs.ErrNotExist)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if seconds, bad := strconv.Atoi(res.Header.Get("Retry-After")); bad == nil && seconds > 0 && seconds <= int(maxRetryAfter/time.Second) {
			wait = time.Duration(seconds) * time.Second
		}
	}
	return data, wait, err
}

func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %q: more than %d bytes", name, limit)
	}
	return data, nil
}
