package badge

import (
	"slices"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The values that vc.type must contain.
const (
	typeCredential = "VerifiableCredential"
	typeIdentity   = "AgentIdentity"
)

// The values of vc.credentialSubject.issuance_profile.
const (
	ProfileRegistered  = "registered"
	ProfileAnonymousDV = "anonymous_dv"
)

// actors are the values of vc.credentialSubject.actor.
var actors = [...]string{"human", "supervised_ai", "automation", "service_account"}

func (c *claims) readVC(v strictjson.Value) *RejectedError {
	switch v.Kind() {
	case 0:
		return refuseClaim("vc", "is missing")
	case '{':
	default:
		return refuseClaim("vc", "is not an object")
	}
	var types, subject strictjson.Value
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "type":
			types = m.Value
		case "credentialSubject":
			subject = m.Value
		}
	}
	if err := checkTypes(types); err != nil {
		return err
	}
	switch subject.Kind() {
	case 0:
		return refuseClaim("vc.credentialSubject", "is missing")
	case '{':
		return c.readCredentialSubject(subject)
	default:
		return refuseClaim("vc.credentialSubject", "is not an object")
	}
}

func checkTypes(v strictjson.Value) *RejectedError {
	switch v.Kind() {
	case 0:
		return refuseClaim("vc.type", "is missing")
	case '[':
	default:
		return refuseClaim("vc.type", "is not an array")
	}
	var credential, identity bool
	n := 0
	for it := v.Elements(); it.Next(); n++ {
		s, err := text("vc.type", it.Value)
		if err != nil {
			return refuseClaim("vc.type", "has an element that %s", err.Reason)
		}
		credential = credential || s == typeCredential
		identity = identity || s == typeIdentity
	}
	switch {
	case n > maxTypes:
		return refuseClaim("vc.type", "has more than %d elements", maxTypes)
	case !credential:
		return refuseClaim("vc.type", "does not contain %s", typeCredential)
	case !identity:
		return refuseClaim("vc.type", "does not contain %s", typeIdentity)
	}
	return nil
}

func (c *claims) readCredentialSubject(v strictjson.Value) *RejectedError {
	var level, domain, profile, actor strictjson.Value
	for m := v.Members(); m.Next(); {
		switch m.Name {
		case "level":
			level = m.Value
		case "domain":
			domain = m.Value
		case "issuance_profile":
			profile = m.Value
		case "actor":
			actor = m.Value
		}
	}
	s, err := text("vc.credentialSubject.level", level)
	if err != nil {
		return err
	}
	parsed, perr := ParseLevel(s)
	if perr != nil {
		return refuseClaim("vc.credentialSubject.level", `is not one of "0" to "4"`)
	}
	c.level = parsed
	if err := c.readDomain(domain); err != nil {
		return err
	}
	if err := c.readProfile(profile); err != nil {
		return err
	}
	return c.readActor(actor)
}

// readActor reads what the issuer vouches for. Who issues its own badge vouches for nothing.
func (c *claims) readActor(v strictjson.Value) *RejectedError {
	const claim = "vc.credentialSubject.actor"
	if v.Kind() == 0 {
		return nil
	}
	s, err := text(claim, v)
	switch {
	case err != nil:
		return err
	case c.level == LevelSelfSigned:
		return refuseClaim(claim, "is present at level 0, where nobody else vouches for it")
	case !slices.Contains(actors[:], s):
		return refuseClaim(claim, "is none of %q", actors)
	}
	c.actor = s
	return nil
}

func (c *claims) readDomain(v strictjson.Value) *RejectedError {
	if v.Kind() == 0 {
		if c.level.AtLeast(LevelDomain) {
			return refuseClaim("vc.credentialSubject.domain", "is missing, and levels 2 to 4 require it")
		}
		return nil
	}
	s, err := text("vc.credentialSubject.domain", v)
	if err != nil {
		return err
	}
	if !isHostname(s) {
		return refuseClaim("vc.credentialSubject.domain", "is not a domain name in lower case")
	}
	c.domain = s
	return nil
}

func (c *claims) readProfile(v strictjson.Value) *RejectedError {
	if v.Kind() == 0 {
		return nil
	}
	s, err := text("vc.credentialSubject.issuance_profile", v)
	if err != nil {
		return err
	}
	if s != ProfileRegistered && s != ProfileAnonymousDV {
		return refuseClaim("vc.credentialSubject.issuance_profile",
			"is neither %q nor %q", ProfileRegistered, ProfileAnonymousDV)
	}
	c.profile = s
	return nil
}
