package tour

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

func (a *authority) transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS13}}
}

// relayProof puts a man in the middle on the wire who has a certificate that
// agents trust, and passes every message on, the server's own proof included.
func relayProof(ctx context.Context, w *world) error {
	if err := w.intercept(); err != nil {
		return err
	}
	v, err := w.newServerVerifier()
	if err != nil {
		return err
	}
	_, err = v.Verify(ctx, w.endpoint())
	var untrusted *serververify.UntrustedError
	if !errors.As(err, &untrusted) {
		return fmt.Errorf("the relay was not told from the server: %w", orNone(err))
	}
	if untrusted.Code != serververify.CodePoPFailed {
		return fmt.Errorf("the relay was refused with %s, want %s", untrusted.Code, serververify.CodePoPFailed)
	}
	w.find("the relayed proof names another TLS connection: %s, and no badge was sent", untrusted.Code)
	if err := w.front.giveBack(); err != nil {
		return err
	}
	_, err = v.Verify(ctx, w.endpoint())
	return err
}

// tamperBadge changes what a badge says.
func tamperBadge(ctx context.Context, w *world) error {
	token := w.tamper(w.reader().badge)
	proof, txn, err := w.signWithBadgeOf(w.reader())
	if err != nil {
		return err
	}
	meta := mcp.Meta{mcpwire.MetaBadge: token, mcpwire.MetaHop: proof, mcpwire.MetaTxn: txn}
	return w.refused(ctx, meta, "a badge with level 3 written into it",
		"TOOL_BADGE_INVALID/"+string(badge.CodeSignatureInvalid))
}

func (w *world) signWithBadgeOf(p *party) (proof, txn string, err error) {
	return w.signWith(p, p.badge)
}

// raiseLevel writes level 3 into a badge of level 2 and leaves the signature as
// it is.
func raiseLevel(token string) string {
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token
	}
	changed := strings.Replace(string(payload), `"level":"2"`, `"level":"3"`, 1)
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(changed))
	return strings.Join(parts, ".")
}
