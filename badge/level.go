package badge

import "fmt"

// A Level says how the subject of a badge was identified (spec/badge.md, "Levels"). Levels are compared with
// [Level.AtLeast] and by nothing else. The zero Level is no badge at all; it is not level 0.
type Level uint8

// The levels, weakest first.
const (
	LevelNone         Level = iota // no badge: satisfies nothing
	LevelSelfSigned                // "0": a key that speaks for itself
	LevelRegistered                // "1": registered with the issuer
	LevelDomain                    // "2": the issuer validated a domain
	LevelOrganization              // "3": the issuer validated the organisation
	LevelExtended                  // "4": extended validation
)

const levelDigits = "01234"

// ParseLevel reads a level as badges write it: "0" to "4".
func ParseLevel(s string) (Level, error) {
	if len(s) == 1 && s[0] >= '0' && s[0] <= '4' {
		return LevelSelfSigned + Level(s[0]-'0'), nil
	}
	return LevelNone, fmt.Errorf("badge: level %.20q is not one of \"0\" to \"4\"", s)
}

// String returns "0" to "4", and "none" for anything that is not a level of a badge.
func (l Level) String() string {
	if !l.valid() {
		return "none"
	}
	i := l - LevelSelfSigned
	return levelDigits[i : i+1]
}

func (l Level) valid() bool { return l >= LevelSelfSigned && l <= LevelExtended }

// AtLeast reports whether l is as strong as minimum. It is false when either is not the level of a badge: a
// minimum of [LevelNone] is satisfied by nothing, so that a forgotten minimum closes the door.
func (l Level) AtLeast(minimum Level) bool {
	return l.valid() && minimum.valid() && l >= minimum
}

// MarshalText writes "0" to "4" and fails for anything else.
func (l Level) MarshalText() ([]byte, error) {
	if !l.valid() {
		return nil, fmt.Errorf("badge: no text for level %d: it is not the level of a badge", uint8(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText is [ParseLevel].
func (l *Level) UnmarshalText(text []byte) error {
	parsed, err := ParseLevel(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// Assurance is the claim `ial`: how the issuer tied the key to the subject (spec/badge.md, "Claims").
type Assurance string

const (
	// AssuranceAccount says that the holder of the subject's account with the issuer named the key.
	AssuranceAccount Assurance = "0"
	// AssurancePossession says that the issuer saw a proof of possession of the key.
	AssurancePossession Assurance = "1"
)
