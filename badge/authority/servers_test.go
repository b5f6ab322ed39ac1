package authority

import (
	"context"
	"errors"
	"testing"
)

// A list of approved servers is served as it is, and is not the authority's word.
func TestServerList(t *testing.T) {
	lite(t, nil).send("GET", "/v1/servers/list", "", nil).refused(404, CodeNotFound)
	var failed error
	read := 0
	b := lite(t, func(c *Config) {
		c.ServerList = func(context.Context) ([]byte, error) { read++; return []byte("a.b.c"), failed }
	})
	r := b.send("GET", "/v1/servers/list", "", nil)
	if r.status != 200 || string(r.body) != "a.b.c" || r.header.Get("Content-Type") != "application/jwt" ||
		r.header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("got %d, %q, %v", r.status, r.body, r.header)
	}
	b.send("GET", "/v1/servers/list", "", nil).ok(nil) // anybody may ask, and it is not read each time
	if read != 1 {
		t.Errorf("it was read %d times", read)
	}
	failed = errors.New("the disk is away")
	b.pass(serversFresh)
	b.send("GET", "/v1/servers/list", "", nil).refused(503, CodeUnavailable)
}
