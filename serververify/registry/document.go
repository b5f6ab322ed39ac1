package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
)

// Limits of a list.
const (
	MaxBytes   = 4 << 20 // of the signed list
	MaxServers = 10_000
	maxValues  = 1_000 // of each array of an entry
	maxText    = 256   // bytes of each text; endpoints may be longer
)

// Any stands for every endpoint, version or tool, alone in its array.
const Any = "*"

// A Document is a list of approved servers. Times are whole seconds.
type Document struct {
	Issuer   string // names the list: whoever signs several gives each a name of its own
	Serial   uint64 // grows with each list of this name; at least 1
	IssuedAt time.Time
	Expires  time.Time
	Servers  []Entry
}

// An Entry is one approved server. A DID has at most one entry in an
// environment.
type Entry struct {
	DID         did.DID
	Environment string   // "" for clients that name no environment
	Owner       string   // for people
	Endpoints   []string // as in package pin; Any alone for every one. Endpoints or Launch is required
	Launch      []string // digests of command lines, see LaunchDigest
	Keys        []string // RFC 7638 thumbprints; empty for every key of the DID
	Versions    []string // of serverInfo; Any alone for every one; empty for none
	Tools       []string // names; Any alone for every one; empty for none
	ValidFrom   time.Time
	ValidUntil  time.Time
}

// LaunchDigest returns what [Entry].Launch has for a command line.
func LaunchDigest(argv []string) (string, error) {
	text, err := endpoint.LaunchDigest(argv)
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	return text, nil
}

// check says what keeps d from being a list.
func (d *Document) check() error {
	switch {
	case !isText(d.Issuer) || d.Issuer == "":
		return errors.New("iss is no name")
	case d.Serial == 0:
		return errors.New("serial is 0")
	case !d.Expires.After(d.IssuedAt):
		return errors.New("exp is not after iat")
	case len(d.Servers) > MaxServers:
		return fmt.Errorf("more than %d servers", MaxServers)
	}
	type key struct {
		did         did.DID
		environment string
	}
	seen := make(map[key]bool, len(d.Servers))
	for i := range d.Servers {
		e := &d.Servers[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("server %d: %w", i, err)
		}
		k := key{e.DID, e.Environment}
		if seen[k] {
			return fmt.Errorf("server %d: %q has an entry already in the environment %q", i, e.DID, e.Environment)
		}
		seen[k] = true
	}
	return nil
}

func (e *Entry) check() error {
	if e.DID.IsZero() {
		return errors.New("no DID")
	}
	if !isText(e.Environment) || !isText(e.Owner) {
		return errors.New("environment or owner has control characters, or is too long")
	}
	if len(e.Endpoints)+len(e.Launch) == 0 {
		return fmt.Errorf("neither endpoints nor launch; write %q for every endpoint", Any)
	}
	if !e.ValidUntil.After(e.ValidFrom) {
		return errors.New("valid_until is not after valid_from")
	}
	for _, values := range []struct {
		name  string
		list  []string
		any   bool
		valid func(string) bool
	}{
		{"endpoints", e.Endpoints, true, isEndpoint},
		{"launch", e.Launch, false, endpoint.IsDigest},
		{"keys", e.Keys, false, endpoint.IsThumbprint},
		{"versions", e.Versions, true, isText},
		{"tools", e.Tools, true, isText},
	} {
		if err := checkList(values.list, values.any, values.valid); err != nil {
			return fmt.Errorf("%s: %w", values.name, err)
		}
	}
	return nil
}

func checkList(list []string, mayAny bool, valid func(string) bool) error {
	if len(list) > maxValues {
		return fmt.Errorf("more than %d", maxValues)
	}
	if mayAny && len(list) == 1 && list[0] == Any {
		return nil
	}
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		switch {
		case v == Any && mayAny:
			return fmt.Errorf("%q stands alone", Any)
		case v == "" || !valid(v):
			return fmt.Errorf("%.100q is none", v)
		case seen[v]:
			return fmt.Errorf("%.100q stands twice", v)
		}
		seen[v] = true
	}
	return nil
}

func isEndpoint(text string) bool {
	canonical, err := endpoint.Canonical(text)
	return err == nil && canonical == text
}

func isText(s string) bool {
	if len(s) > maxText {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

// lists reports whether one of the values is v, or stands for all.
func lists(values []string, v string) bool {
	return slices.Contains(values, v) || len(values) == 1 && values[0] == Any
}
