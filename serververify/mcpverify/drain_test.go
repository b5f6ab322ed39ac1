package mcpverify

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// output is what a client that only writes would have read.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	fail error
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return 0, o.fail
	}
	return o.b.Write(p)
}

func (*output) Close() error { return nil }

// A client that ends right after its request, as a pipe in a shell does, still
// gets the answer.
func TestBridgeDrains(t *testing.T) {
	st := newStage(t, newServer(), generation2026, false)
	out := &output{}
	in := callText("1", "greet") + "\n" + `{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"notifications":{},` + newMeta + `}}` + "\n"
	err := Bridge(t.Context(), &BridgeConfig{
		Client:   &mcp.IOTransport{Reader: io.NopCloser(strings.NewReader(in)), Writer: out},
		Verifier: st.verifier(), Endpoint: st.url(),
	})
	out.mu.Lock()
	defer out.mu.Unlock()
	if err != nil || !strings.Contains(out.b.String(), "hello") {
		t.Errorf("got %q, %v", out.b.String(), err)
	}
}

// A client that does not listen any more ends the bridge.
func TestBridgeClientGone(t *testing.T) {
	st := newStage(t, newServer(), generation2026, false)
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, callText("1", "greet")+"\n")
	err := Bridge(t.Context(), &BridgeConfig{
		Client:   &mcp.IOTransport{Reader: r, Writer: &output{fail: errors.New("nobody reads")}},
		Verifier: st.verifier(), Endpoint: st.url(),
	})
	if err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Errorf("got %v", err)
	}
}
