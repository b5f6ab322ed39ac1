package serververify

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// The example of the specification is a vector, and its codes are ours.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../spec/server-identity.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(text)
	for _, v := range readVectors(t) {
		if v.Name != "valid-tls" {
			continue
		}
		m, err := jws.Parse(v.Answer.Headers["Touchmark-Server-Proof"][0])
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Touchmark-Nonce: " + v.Client.Nonce, string(m.Payload), `"kid":"` + m.Kid + `"`, v.Client.Endpoint} {
			if !strings.Contains(spec, part) {
				t.Errorf("the example lacks %s", part)
			}
		}
	}
	bindings := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (?:empty|SHA-256|the channel)").FindAllStringSubmatch(spec, -1) {
		bindings[row[1]] = true
	}
	for _, b := range []Binding{BindingTLS, BindingUnix, BindingLaunch, BindingStdio, BindingSPKI, BindingNone} {
		if !bindings[string(b)] {
			t.Errorf("%s is not in the table of bindings", b)
		}
		delete(bindings, string(b))
	}
	if len(bindings) != 0 {
		t.Errorf("bindings %v are in the specification, and not in the code", bindings)
	}
	for _, name := range []string{
		strings.TrimSuffix(unixContext, "\n"), strings.TrimSuffix(launchContext, "\n"), LaunchVariable, "Touchmark-Server-SPKI",
		mcpwire.TypePublishedProof, mcpwire.MetaPublishedNonce, mcpwire.MetaPublishedSignature, exporterLabel,
	} {
		if !strings.Contains(spec, "`"+name+"`") {
			t.Errorf("%s is not in the specification", name)
		}
	}
	ours := make(map[string]bool)
	for _, code := range []Code{
		CodeIdentityMissing, CodeBadgeMissing, CodeBadgeInvalid, CodeBadgeRevoked, CodeTrustInsufficient, CodeDIDMismatch, CodeIssuerUntrusted,
		CodeDomainMismatch, CodePathMismatch, CodePoPFailed, CodePoPExpired, CodeDIDResolutionFailed, CodeKeyFetchFailed, CodeRevocationCheckFailed,
		CodePinMissing, CodePinMismatch, CodePinExpired, CodeToolsChanged, CodeNotRegistered, CodeNotAllowed,
	} {
		ours[string(code)] = true
		if !strings.Contains(spec, "| `"+string(code)+"` |") {
			t.Errorf("%s is not in the table of codes", code)
		}
	}
	for _, code := range regexp.MustCompile("`((?:SERVER|REVOCATION)_[A-Z_]+)`").FindAllStringSubmatch(spec, -1) {
		if !ours[code[1]] {
			t.Errorf("%s is in the specification, and not in the code", code[1])
		}
	}
}
