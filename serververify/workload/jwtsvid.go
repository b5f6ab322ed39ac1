package workload

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// MaxTokenBytes is the length of the longest JWT-SVID that is read.
const MaxTokenBytes = 16 << 10

// A JWTSource has the keys of the trust domains whose JWT-SVIDs are accepted.
// *spiffe.Source is one.
type JWTSource interface {
	// JWTAuthorities returns the current keys of a trust domain by key id, and an
	// error for one that is not accepted.
	JWTAuthorities(trustDomain string) (map[string]crypto.PublicKey, error)
}

// A JWTVerifier verifies JWT-SVIDs. A JWT-SVID is a bearer token: whoever sees
// one can use it with every service of its audience until it expires. Prefer
// X.509-SVIDs.
type JWTVerifier struct {
	// Source has the keys. Required.
	Source JWTSource

	// Audience are this service's own names, one of which the token must name.
	// Required.
	Audience []string

	// Authorize admits callers; those of [AuthorizeID] and [AuthorizeTrustDomain]
	// admit X.509-SVIDs alone. Required.
	Authorize Authorizer
}

func (v *JWTVerifier) validate() error {
	switch {
	case v == nil || v.Source == nil:
		return errors.New("workload: JWTVerifier has no Source")
	case len(v.Audience) == 0 || slices.Contains(v.Audience, ""):
		return errors.New("workload: JWTVerifier has no Audience: a token for anybody would be good here")
	case v.Authorize == nil:
		return errors.New("workload: JWTVerifier has no Authorize: say who is admitted, or AuthorizeVerified()")
	}
	return nil
}

// Verify returns who a JWT-SVID is about.
func (v *JWTVerifier) Verify(token string) (*Principal, error) {
	if err := v.validate(); err != nil {
		return nil, err
	}
	if err := unambiguous(token); err != nil {
		return nil, err
	}
	svid, err := jwtsvid.ParseAndValidate(token, jwtBundles{v.Source}, v.Audience)
	if err != nil {
		return nil, fmt.Errorf("workload: JWT-SVID: %w", err)
	}
	if svid.ID.Path() == "" {
		return nil, fmt.Errorf("workload: JWT-SVID: the SPIFFE ID %q of a trust domain is nobody's", svid.ID)
	}
	p := &Principal{scheme: SchemeJWTSVID, subject: svid.ID.String(), id: svid.ID, expires: svid.Expiry, audience: svid.Audience}
	if err := v.Authorize(p); err != nil {
		return nil, err
	}
	return p, nil
}

// unambiguous refuses what two readers could read in two ways, before a reader
// with other rules than ours sees it.
func unambiguous(token string) error {
	if len(token) > MaxTokenBytes {
		return fmt.Errorf("workload: JWT-SVID of more than %d bytes", MaxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("workload: JWT-SVID: not a compact JWS")
	}
	for i, part := range parts {
		text, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || strings.ContainsAny(part, "\r\n") {
			return errors.New("workload: JWT-SVID: not a compact JWS")
		}
		if i == 2 {
			break
		}
		var members map[string]any
		if err := strictjson.Unmarshal(text, &members); err != nil {
			return fmt.Errorf("workload: JWT-SVID: %w", err)
		}
	}
	return nil
}

type jwtBundles struct{ JWTSource }

func (b jwtBundles) GetJWTBundleForTrustDomain(td spiffeid.TrustDomain) (*jwtbundle.Bundle, error) {
	keys, err := b.JWTAuthorities(td.Name())
	if err != nil {
		return nil, err
	}
	return jwtbundle.FromJWTAuthorities(td, keys), nil
}

// Handler takes JWT-SVIDs from Authorization: Bearer, and refuses requests whose
// token does not hold with status 401. A request without Authorization passes,
// and [FromRequest] knows nobody by it. The badge of a caller then has to come in
// X-Capiscio-Badge (mcpguard's Options.AllowAuthorizationBeside).
func (v *JWTVerifier) Handler(next http.Handler) (http.Handler, error) {
	if err := v.validate(); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values("Authorization")
		if len(values) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
			unauthorized(w)
			return
		}
		p, err := v.Verify(token)
		if err != nil {
			unauthorized(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, p)))
	}), nil
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	http.Error(w, "the JWT-SVID is not accepted here", http.StatusUnauthorized)
}
