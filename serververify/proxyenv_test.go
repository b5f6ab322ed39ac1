package serververify

import (
	"net"
	"testing"
)

// The environment names a proxy; nobody asks it. The name that is reached is not
// one that the standard library exempts.
func TestProxyEnvironmentIsIgnored(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	asked := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
			close(asked)
		}
	}()
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+l.Addr().String())
	}
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		srv := w.verified(w.verifier())
		resp, err := srv.Client().Get(w.url("/mcp"))
		drain(t, resp, err)
	})
	select {
	case <-asked:
		t.Error("the proxy was asked")
	default:
	}
}
