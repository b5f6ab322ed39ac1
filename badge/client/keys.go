package client

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	jwxjwk "github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// issuerKeys are the keys of one issuer.
//
// A jwk.Cache fetches the key set, and again at every refresh interval; what
// it fetched is read by our own parser, and kept here only if both agree on
// the keys. The cache is replaced by a new one when the set is wanted out of
// turn, because jwk.Cache.Refresh adds one more periodic fetch each time, and
// because a cache whose first fetch failed answers without keys and without an
// error until its next turn.
type issuerKeys struct {
	client *Client
	issuer string
	url    string

	mu      sync.Mutex // guards what follows
	keys    []badge.Key
	fetched time.Time     // when keys were asked for; zero when they never came
	tried   time.Time     // when the last fetch out of turn began
	err     error         // of the last fetch, nil when it succeeded
	flight  chan struct{} // closed when the fetch out of turn ends; nil when there is none
	stop    context.CancelFunc
}

func newIssuerKeys(c *Client, issuer string) *issuerKeys {
	return &issuerKeys{client: c, issuer: issuer, url: issuer + keySetPath}
}

// get returns keys that are not too old, and fetches them if need be.
func (k *issuerKeys) get(ctx context.Context) ([]badge.Key, error) {
	k.mu.Lock()
	keys, fresh := k.keys, k.fresh()
	k.mu.Unlock()
	if fresh {
		return keys, nil
	}
	if err := k.fetch(ctx, retryInterval); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fresh() {
		return nil, k.failure()
	}
	return k.keys, nil
}

// refresh returns keys after a fetch that began less than MinInterval ago. A
// failed fetch is an error, also when there are older keys: they are known not
// to answer the question.
func (k *issuerKeys) refresh(ctx context.Context) ([]badge.Key, error) {
	if err := k.fetch(ctx, k.client.cfg.MinInterval); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil || !k.fresh() {
		return nil, k.failure()
	}
	return k.keys, nil
}

func (k *issuerKeys) fresh() bool {
	return !k.fetched.IsZero() && k.client.cfg.Time().Sub(k.fetched) <= k.client.cfg.MaxAge
}

func (k *issuerKeys) failure() error {
	err := k.err
	if err == nil {
		err = errors.New("it is too old and was not fetched again")
	}
	return fmt.Errorf("badge/client: key set of %q: %w", k.issuer, err)
}

// fetch waits for a fetch out of turn, and begins one unless the last one
// began less than interval ago. The error is about the waiting; how the fetch
// went is in k.
func (k *issuerKeys) fetch(ctx context.Context, interval time.Duration) error {
	k.mu.Lock()
	if k.flight == nil {
		now := k.client.cfg.Time()
		if !k.tried.IsZero() && now.Sub(k.tried) < interval {
			k.mu.Unlock()
			return nil
		}
		landing := make(chan struct{})
		// The fetch does not end with this request: others come to wait for it.
		if !k.client.background(func() { k.fly(landing) }) {
			k.mu.Unlock()
			return ErrClosed
		}
		k.tried, k.flight = now, landing
	}
	flight := k.flight
	k.mu.Unlock()
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("badge/client: key set of %q: %w", k.issuer, ctx.Err())
	}
}

// fly fetches the key set with a new cache, which takes over from the former
// one if it succeeds.
func (k *issuerKeys) fly(landing chan struct{}) {
	cfg := &k.client.cfg
	life, stop := context.WithCancel(k.client.life)
	f := &feed{keys: k}
	cache := jwxjwk.NewCache(life, jwxjwk.WithRefreshWindow(cfg.RefreshInterval/4))
	err := cache.Register(k.url,
		jwxjwk.WithHTTPClient(f),
		jwxjwk.WithPostFetcher(f),
		jwxjwk.WithRefreshInterval(cfg.RefreshInterval),
		jwxjwk.WithIgnoreParseError(true), // keys of kinds that it does not know
	)
	if err == nil {
		ctx, cancel := context.WithTimeout(life, cfg.Timeout+time.Second) // the exchange has its own limit
		_, err = cache.Get(ctx, k.url)
		cancel()
	}
	if failed := f.failure(); err != nil && failed != nil {
		err = failed // without the wrapping of two libraries
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		stop()
		k.err = err
	} else {
		if k.stop != nil {
			k.stop()
		}
		k.stop = stop
	}
	k.flight = nil
	close(landing)
}

// publish replaces the keys.
func (k *issuerKeys) publish(keys []badge.Key, asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if asked.Before(k.fetched) {
		return
	}
	k.keys, k.fetched, k.err = keys, asked, nil
}

// A feed is what one jwk.Cache fetches through: it calls Get, and PostFetch
// with what it read of the answer.
type feed struct {
	keys *issuerKeys

	mu    sync.Mutex  // a Get that the cache gave up may still run
	asked time.Time   // when the last fetch began
	read  []badge.Key // what it brought
	err   error       // or why it brought nothing
}

func (f *feed) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Get fetches the key set for the cache, within our limits, and only if our
// parser accepts it.
func (f *feed) Get(url string) (*http.Response, error) {
	c := f.keys.client
	asked := c.cfg.Time()
	data, err := safehttp.Get(c.life, c.http, url, jwk.MaxSetBytes)
	var read []badge.Key
	if err == nil {
		read, err = ParseKeys(data)
	}
	f.mu.Lock()
	f.asked, f.read, f.err = asked, read, err
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:     "200 OK",
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{},
		Body:       io.NopCloser(bytes.NewReader(data)),
	}, nil
}

// PostFetch compares what the cache read with what we read, and publishes it.
func (f *feed) PostFetch(_ string, set jwxjwk.Set) (jwxjwk.Set, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range f.read {
		if !contains(set, key) {
			f.err = fmt.Errorf("two parsers read the key %.100q differently", key.ID)
			return nil, f.err
		}
	}
	f.keys.publish(f.read, f.asked)
	return set, nil
}

func contains(set jwxjwk.Set, want badge.Key) bool {
	public, ok := want.Public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return false
	}
	for i := range set.Len() {
		key, ok := set.Key(i)
		if !ok || key.KeyID() != want.ID {
			continue
		}
		var raw any
		if err := key.Raw(&raw); err == nil && public.Equal(raw) {
			return true
		}
	}
	return false
}
