package registry

import (
	"crypto"
	"errors"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// Type is the typ of a signed list.
const Type = "touchmark-registry+jwt"

// A Document is a list of approved servers.
type Document struct {
	Issuer   string // names the list: whoever signs several gives each a name of its own
	Serial   uint64 // grows with each list of this name
	IssuedAt time.Time
	Expires  time.Time
	Servers  []Entry
}

// An Entry is one approved server. A DID has at most one in an environment.
type Entry struct {
	DID         did.DID
	Environment string   // "" for clients that name no environment
	Owner       string   // for people
	Endpoints   []string // as in package pin; "*" alone for any. Endpoints or Launch is required
	Launch      []string // digests of command lines, see [LaunchDigest]
	Keys        []string // RFC 7638 thumbprints; empty for every key of the DID
	Versions    []string // of serverInfo; "*" alone for any. Required
	Tools       []string // names; "*" alone for any; empty for none
	ValidFrom   time.Time
	ValidUntil  time.Time
}

// Sign makes a signed list. key is an Ed25519 or P-256 key.
func Sign(key crypto.Signer, d *Document) (string, error) {
	return "", errors.New("registry: not built")
}

// Verify checks a signed list against the keys that may sign it, and that it
// is within its time at now. Whether it is the newest is for [Registry] to know.
func Verify(token string, keys []crypto.PublicKey, now time.Time) (*Document, error) { return nil, nil }

// LaunchDigest returns what [Entry].Launch has for a command line.
func LaunchDigest(argv []string) (string, error) { return "", nil }
