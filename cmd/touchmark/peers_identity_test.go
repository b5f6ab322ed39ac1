package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/peers"
)

// Servers that know nothing of identities, of both generations of the protocol,
// disclose one behind the gateway: it is verified at the level of its badge, and
// refused at a higher one.
func TestGatewayDiscloses(t *testing.T) {
	b := newBench(t)
	v2, err := filepath.Abs(filepath.Join("testdata", "server_v2.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for name, upstream := range map[string][]string{
		"server-everything": {peers.Script(t, "@modelcontextprotocol/server-everything"), "stdio"},
		"TypeScript SDK v2": {v2, peers.Package(t, "@modelcontextprotocol/server"), "Read a file"},
	} {
		t.Run(name, func(t *testing.T) {
			b.upstream = append([]string{"--", b.node}, upstream...)
			out, errOut, code := b.verify("3")
			var v serverVerdict
			if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.State != "VERIFIED_PRINCIPAL" || v.Level != "3" || v.Binding != "stdio-launch" || !strings.HasPrefix(v.DID, "did:") {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errOut)
			}
			if out, errOut, code := b.verify("4"); code != 1 || !strings.Contains(out, "SERVER_TRUST_INSUFFICIENT") {
				t.Errorf("level 4: exit code %d\n%s%s", code, out, errOut)
			}
		})
	}
	b.upstream = []string{"--", b.node, v2, peers.Package(t, "@modelcontextprotocol/server"), "Read a file"}
	if out, errOut, code := b.call("reader", "read_text_file", "path=a.txt"); code != 0 || !strings.Contains(out, "content of a.txt") {
		t.Errorf("call: exit code %d\n%s%s", code, out, errOut)
	}
}

// verify runs `touchmark server verify` against the gateway.
func (b *bench) verify(level string) (string, string, int) {
	b.t.Helper()
	line := []string{"server", "verify", "--json", "--home", b.home, "--min-level", level, "--", b.command, "gateway", "--home", b.home, "--quiet"}
	return b.run(b.command, append(line, b.upstream...)...)
}
