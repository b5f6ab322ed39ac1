package serververify

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// TLS 1.2 without extended master secret (RFC 7627) has no channel binding that
// an attacker cannot make equal on two connections. Go always negotiates it,
// OpenSSL can be told not to.
func TestTLS12WithoutExtendedMasterSecret(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		want          string // in the reason of the refusal
	}{
		{"without", "-ExtendedMasterSecret", "no channel binding"},
		{"with", "ExtendedMasterSecret", "another nonce"}, // the canned proof, which comes after
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, option{})
			startOpenSSL(t, w, tt.options)
			_, err := w.verifier().Verify(t.Context(), w.url("/mcp"))
			if refused := wantRefusal(t, err, CodePoPFailed, StateDeclared); !strings.Contains(refused.Reason, tt.want) || !refused.BadgeValid {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// startOpenSSL puts a TLS 1.2 server in the place of the world's. It answers
// every challenge with the answer to one that it heard.
func startOpenSSL(t *testing.T, w *world, options string) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	key, err := x509.MarshalPKCS8PrivateKey(w.cert.PrivateKey)
	must(t, err)
	certFile := write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.cert.Certificate[0]})))
	keyFile := write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	conf := write("openssl.cnf", "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]\nOptions = "+options+"\n")
	d := w.identity.Disclose(t.Context())
	must(t, w.identity.prove(&d, proofClaims{nonce: NewNonce(), binding: BindingTLS, origin: w.origin()}))
	write(mcpwire.DiscoveryPath, fmt.Sprintf("HTTP/1.0 200 OK\r\n%s: %s\r\n%s: %s\r\n%s: %s\r\n\r\n{}",
		mcpwire.HeaderServerDID, d.DID, mcpwire.HeaderServerBadge, d.Badge, mcpwire.HeaderServerProof, d.Proof))

	addr := w.server.Listener.Addr().String()
	w.server.Close()
	cmd := exec.Command(program, "s_server", "-accept", addr, "-cert", certFile, "-key", keyFile, "-tls1_2", "-HTTP", "-quiet")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "OPENSSL_CONF="+conf)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Skip("openssl s_server does not listen")
		}
	}
}
