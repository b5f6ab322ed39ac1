package badge

import (
	"crypto"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits on single claims (spec/badge.md, "Limits").
const (
	maxAudience     = 16
	maxStringBytes  = 1024
	maxTypes        = 16
	challengePrefix = "ch-"
)

// claims are the claims of a badge after every rule that needs nothing but the claims themselves.
type claims struct {
	id      string
	issuer  string
	subject did.DID
	level   Level

	audience    []string
	hasAudience bool

	issuedAt, expires, notBefore int64 // Unix seconds
	hasNotBefore                 bool

	assurance    Assurance
	key          crypto.PublicKey
	confirmation did.URL
	certificate  string // cnf.x5t#S256
	spiffeID     string

	domain, profile, actor    string
	agentCardHash, didDocHash string
}

// raw are the members that matter, as they stand in the payload. A zero Value is an absent member.
type raw struct {
	jti, iss, sub, aud, iat, exp, nbf, ial, key, cnf, vc, spiffeID strictjson.Value
	agentCardHash, didDocHash, popChallengeID                      strictjson.Value
}

// parseClaims reads the payload of a badge into c (spec/badge.md, "Claims"). It goes through the claims in the order
// of that section, so that a badge with several faults always has the same one named.
func parseClaims(c *claims, v strictjson.Value, compat bool) *RejectedError {
	if v.Kind() != '{' {
		return refuse(CodeMalformed, "the payload is not a JSON object")
	}
	r := readMembers(v)
	if err := c.fill(&r, compat); err != nil {
		err.BadgeID = c.id
		return err
	}
	return nil
}

// readMembers finds the members that the documents name. Other members, and members whose names differ in
// case, are ignored; that no member comes twice is checked already.
func readMembers(v strictjson.Value) raw {
	var r raw
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "jti":
			r.jti = m.Value
		case "iss":
			r.iss = m.Value
		case "sub":
			r.sub = m.Value
		case "aud":
			r.aud = m.Value
		case "iat":
			r.iat = m.Value
		case "exp":
			r.exp = m.Value
		case "nbf":
			r.nbf = m.Value
		case "ial":
			r.ial = m.Value
		case "key":
			r.key = m.Value
		case "cnf":
			r.cnf = m.Value
		case "vc":
			r.vc = m.Value
		case "spiffe_id":
			r.spiffeID = m.Value
		case "agent_card_hash":
			r.agentCardHash = m.Value
		case "did_doc_hash":
			r.didDocHash = m.Value
		case "pop_challenge_id":
			r.popChallengeID = m.Value
		}
	}
	return r
}

func (c *claims) fill(r *raw, compat bool) *RejectedError {
	if err := c.readID(r.jti); err != nil {
		return err
	}
	if err := c.readVC(r.vc); err != nil { // the level decides about iss and sub
		return err
	}
	if err := c.readParties(r, compat); err != nil {
		return err
	}
	if err := c.readAudience(r.aud); err != nil {
		return err
	}
	if err := c.readTimes(r); err != nil {
		return err
	}
	if err := c.readKey(r, compat); err != nil {
		return err
	}
	return c.readOptional(r)
}

// text reads a claim that has to be a non-empty string.
func text(claim string, v strictjson.Value) (string, *RejectedError) {
	if v.Kind() == 0 {
		return "", refuseClaim(claim, "is missing")
	}
	s, ok := v.Text()
	switch {
	case !ok:
		return "", refuseClaim(claim, "is not a string")
	case s == "":
		return "", refuseClaim(claim, "is empty")
	case len(s) > maxStringBytes:
		return "", refuseClaim(claim, "is longer than %d bytes", maxStringBytes)
	}
	return s, nil
}

func (c *claims) readID(v strictjson.Value) *RejectedError {
	id, err := text("jti", v)
	if err != nil {
		return err
	}
	if !isUUID4(id) {
		return refuseClaim("jti", "is not a UUID of version 4 in lower case")
	}
	c.id = id
	return nil
}

func (c *claims) readParties(r *raw, compat bool) *RejectedError {
	var err *RejectedError
	if c.issuer, err = text("iss", r.iss); err != nil {
		return err
	}
	subject, err := text("sub", r.sub)
	if err != nil {
		return err
	}
	parsed, perr := did.Parse(subject)
	if perr != nil {
		return &RejectedError{Code: CodeClaimsInvalid, Claim: "sub", Reason: "is not a DID: " + perr.Error(), err: perr}
	}
	c.subject = parsed
	if c.level == LevelSelfSigned {
		return c.checkSelfSigned(subject)
	}
	if parsed.Method() != did.MethodWeb {
		return refuseClaim("sub", "is not a did:web, which levels 1 to 4 require")
	}
	return checkIssuer(c.issuer, compat)
}

func (c *claims) checkSelfSigned(subject string) *RejectedError {
	if c.subject.Method() != did.MethodKey {
		return refuseClaim("sub", "is not a did:key, which level 0 requires")
	}
	if c.issuer != subject {
		return refuseClaim("iss", "is not the subject, which level 0 requires")
	}
	return nil
}

func checkIssuer(issuer string, compat bool) *RejectedError {
	reason := checkOrigin(issuer)
	if reason == "" {
		return nil
	}
	if compat {
		if d, err := did.Parse(issuer); err == nil && d.Method() == did.MethodWeb {
			return nil
		}
	}
	return refuseClaim("iss", "is not an https origin: %s", reason)
}

func (c *claims) readAudience(v strictjson.Value) *RejectedError {
	if v.Kind() == 0 {
		return nil
	}
	if v.Kind() != '[' {
		return refuseClaim("aud", "is not an array")
	}
	c.hasAudience = true
	for it := v.Elements(); it.Next(); {
		s, err := text("aud", it.Value)
		if err != nil {
			return refuseClaim("aud", "has an element that %s", err.Reason)
		}
		if len(c.audience) == maxAudience {
			return refuseClaim("aud", "has more than %d elements", maxAudience)
		}
		c.audience = append(c.audience, s)
	}
	return nil
}

func (c *claims) readKey(r *raw, compat bool) *RejectedError {
	if err := c.readAssurance(r.ial, compat); err != nil {
		return err
	}
	if r.key.Kind() == 0 {
		return refuseClaim("key", "is missing")
	}
	key, err := jwk.FromValue(r.key)
	if err != nil {
		return &RejectedError{Code: CodeClaimsInvalid, Claim: "key", Reason: "is not a public key: " + err.Error(), err: err}
	}
	c.key = key.Key
	if c.level == LevelSelfSigned {
		own, err := c.subject.PublicKey()
		if err != nil || !sameKey(own, c.key) {
			return refuseClaim("key", "is not the key of the did:key")
		}
	}
	return c.readConfirmation(r.cnf)
}

func (c *claims) readAssurance(v strictjson.Value, compat bool) *RejectedError {
	if s, ok := v.Text(); ok && s == "" && compat {
		c.assurance = AssuranceAccount
		return nil
	}
	s, err := text("ial", v)
	if err != nil {
		return err
	}
	c.assurance = Assurance(s)
	switch {
	case c.assurance != AssuranceAccount && c.assurance != AssurancePossession:
		return refuseClaim("ial", `is neither "0" nor "1"`)
	case c.assurance == AssurancePossession && c.level == LevelSelfSigned:
		return refuseClaim("ial", `is "1" at level 0, where no issuer saw a proof`)
	}
	return nil
}

func (c *claims) readConfirmation(v strictjson.Value) *RejectedError {
	present, wanted := v.Kind() != 0, c.assurance == AssurancePossession
	switch {
	case wanted && !present:
		return refuseClaim("cnf", `is missing with ial "1"`)
	case present && !wanted:
		return refuseClaim("cnf", `is present with ial "0"`)
	case !present:
		return nil
	case v.Kind() != '{':
		return refuseClaim("cnf", "is not an object")
	}
	var kid, certificate strictjson.Value
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "kid":
			kid = m.Value
		case memberCertificate:
			certificate = m.Value
		}
	}
	s, err := text("cnf.kid", kid)
	if err != nil {
		return err
	}
	u, perr := did.ParseURL(s)
	if perr != nil {
		return &RejectedError{Code: CodeClaimsInvalid, Claim: "cnf.kid", Reason: "is not a DID URL: " + perr.Error(), err: perr}
	}
	if u.DID != c.subject {
		return refuseClaim("cnf.kid", "names a key of somebody else than the subject")
	}
	c.confirmation = u
	return c.readCertificate(certificate)
}

func (c *claims) readOptional(r *raw) *RejectedError {
	err := c.readSPIFFEID(r.spiffeID)
	if err != nil {
		return err
	}
	if c.agentCardHash, err = readHash("agent_card_hash", r.agentCardHash); err != nil {
		return err
	}
	if c.didDocHash, err = readHash("did_doc_hash", r.didDocHash); err != nil {
		return err
	}
	if r.popChallengeID.Kind() == 0 {
		return nil
	}
	id, err := text("pop_challenge_id", r.popChallengeID)
	if err != nil {
		return err
	}
	if !isChallengeID(id) {
		return refuseClaim("pop_challenge_id", "is not %q and a UUID", challengePrefix)
	}
	return nil
}

func readHash(claim string, v strictjson.Value) (string, *RejectedError) {
	if v.Kind() == 0 {
		return "", nil
	}
	s, err := text(claim, v)
	if err != nil {
		return "", err
	}
	if !isHash(s) {
		return "", refuseClaim(claim, "is not sha256: and 32 bytes of base64url")
	}
	return s, nil
}
