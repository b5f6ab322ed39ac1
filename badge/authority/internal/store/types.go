package store

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"
)

// Kinds of agents.
const (
	KindAgent  = "agent"
	KindServer = "server"
)

// States of an agent.
const (
	StatusActive    = "active"
	StatusDisabled  = "disabled"
	StatusSuspended = "suspended"
)

// States of an order.
const (
	OrderPending = "pending" // the challenge has not been found yet
	OrderReady   = "ready"   // of a verified persistent account: no challenge is needed
	OrderValid   = "valid"   // its grant was issued
	OrderInvalid = "invalid" // given up
)

// Ways to validate a domain.
const (
	HTTP01 = "http-01"
	DNS01  = "dns-01"
)

// States of a persistent domain validation account.
const (
	DVPending  = "pending"
	DVVerified = "verified"
	DVRevoked  = "revoked"
)

// Scopes of an account key.
const (
	ScopeIssue = "issue"
	ScopeAdmin = "admin"
)

// MaxEntryBytes is the length of the longest entry that a log takes.
const MaxEntryBytes = 1<<16 - 1

// Limits that hold when none are given, for an hour each.
const (
	DefaultPerAgent   = 100
	DefaultPerAccount = 10000
)

// An Act says when and by whom something is done, and what the log is to say about it.
type Act struct {
	// At is the time of the act; required.
	At time.Time
	// By names who did it, for the records: an account key's id, or "cli".
	By string
	// Entry is the entry for the authority's log; required, at most MaxEntryBytes.
	Entry []byte
}

// An Account owns agents and keys.
type Account struct {
	ID, Name   string
	CreatedAt  time.Time
	DisabledAt time.Time
}

// An AccountKey lets its holder act for an account. Its secret is not stored.
type AccountKey struct {
	ID, AccountID string
	SecretHash    [sha256.Size]byte // compare in constant time
	Scopes        []string
	Label         string
	CreatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	RevokedAt     time.Time
	// AccountDisabledAt is filled in by [Store.AccountKey].
	AccountDisabledAt time.Time
}

// IsAdmin reports whether the key may do everything.
func (k *AccountKey) IsAdmin() bool { return slices.Contains(k.Scopes, ScopeAdmin) }

// An AgentKey is one of the public keys of an agent that its DID document publishes.
type AgentKey struct {
	ID        string          // DID URL of the verification method
	PublicKey json.RawMessage // JWK
	CreatedAt time.Time
}

// An Agent is a subject of badges: an agent or a server.
type Agent struct {
	DID, Kind, AccountID string
	// PublicKey is the JWK of the key that badges are issued for, KeyID the DID URL of its verification method.
	PublicKey json.RawMessage
	KeyID     string
	// Keys are all published keys, that one among them, oldest first.
	Keys []AgentKey
	// HostedName is the {id} of /agents/{id}/did.json or /servers/{id}/did.json, empty when the document is
	// hosted elsewhere. It is unique within the kind.
	HostedName string
	// Level is the highest level of a badge, 1 to 4; LevelReason and LevelBy are who granted it and why.
	Level                int
	LevelReason, LevelBy string
	Domain               string
	Status, StatusReason string
	StatusAt             time.Time // of the last change of Status
	CreatedAt, UpdatedAt time.Time
}

// A Challenge is what an agent must sign to get a badge of assurance 1. It is used once.
type Challenge struct {
	ID, DID, AccountID   string
	Nonce                string
	CreatedAt, ExpiresAt time.Time
	ProofAudience        string
	HTTPURI, HTTPMethod  string
	// BadgeAudience, BadgeTTL, Level and Domain of the badge are frozen here.
	BadgeAudience []string
	BadgeTTL      time.Duration // whole seconds
	Level         int
	Domain        string
	UsedAt        time.Time
}

// A Badge is the record of an issued badge, never the badge itself.
type Badge struct {
	ID, Subject string
	AccountID   string // empty for a badge that was minted from the grant of nobody's account
	Level       int
	Assurance   string
	Domain      string
	KeyID       string // of the authority's key
	IssuedAt    time.Time
	ExpiresAt   time.Time
	TokenHash   [sha256.Size]byte
	ChallengeID string
	GrantID     string
	LogPosition *uint64 // index of its entry in the log, nil until that was claimed
}

// A Revocation is one link of the issuer's chain of revocations.
type Revocation struct {
	Number           uint64 // 1, 2, 3, ... without gap
	BadgeID, Subject string
	RevokedAt        time.Time
	Reason, By       string
	Head             [sha256.Size]byte // of the chain up to here
	BadgeExpiresAt   time.Time
}

// A BadgeStatus is all that decides whether a badge is still to be believed.
type BadgeStatus struct {
	Badge      Badge
	Revocation *Revocation // nil: not revoked
	// AgentStatus is empty when the subject is not registered (badges minted from a grant).
	AgentStatus  string
	KeyWithdrawn bool
}

// A RevocationSnapshot is what a revocation list states, read in one transaction.
type RevocationSnapshot struct {
	AsOf     time.Time
	From, To uint64            // the list names revocations From+1 ... To
	Base     [sha256.Size]byte // head after From of them
	Head     [sha256.Size]byte // head after To of them
	Revoked  []string
	// DisabledAgents are the DIDs of all agents that are not active and have a badge that may be about, WithdrawnKeys the
	// ids of all withdrawn keys.
	DisabledAgents, WithdrawnKeys []string
}

// An Order asks for the validation of a domain.
type Order struct {
	ID          string
	AccountID   string // empty when orders are open to anybody
	CreatorKey  string // id of the account key that made it
	DVAccountID string // of the persistent account, if it has one
	Domain      string
	Type        string // HTTP01, DNS01, or empty for an order that is ready
	Token       string
	Thumbprint  string // RFC 7638, of KeyJWK
	KeyJWK      json.RawMessage
	CreatedAt   time.Time
	ExpiresAt   time.Time
	Status      string
	Attempts    int
	GrantID     string // when Status is OrderValid
}

// A Grant lets the holder of a key mint badges for a domain.
type Grant struct {
	ID, Domain string
	Thumbprint string // RFC 7638, of the key it is bound to
	AccountID  string
	OrderID    string
	IssuedAt   time.Time
	ExpiresAt  time.Time
	RevokedAt  time.Time
	Reason     string // of the revocation
}

// A DVAccount is a persistent domain validation account: it proves its domain once, by static content.
type DVAccount struct {
	ID, AccountID, Domain string
	Thumbprint            string // RFC 7638, of KeyJWK
	KeyJWK                json.RawMessage
	Status                string
	CreatedAt             time.Time
	VerifiedAt            time.Time
	VerifiedVia           string
	RevokedAt             time.Time
	Reason                string // of the revocation
}

// A CAKey is the state, shared by all nodes, of one of the authority's signing keys. Private keys are not stored.
type CAKey struct {
	ID          string
	PublicKey   json.RawMessage // JWK
	CreatedAt   time.Time
	ActiveFrom  time.Time
	RetiredAt   time.Time // it signs no more badges
	WithdrawnAt time.Time // badges that it signed are no longer to be believed
	Reason      string    // of the withdrawal
	// LastBadgeExpires is when the last badge that it signed expires, zero if there is none.
	LastBadgeExpires time.Time
}

// An Outboxed entry has its place in the log.
type Outboxed struct {
	Position uint64 // index in the log
	Entry    []byte
	BadgeID  string // of the badge whose issuance the entry is about, if it is
	At       time.Time
}

// Limits bound how many badges are issued within the hour before.
type Limits struct {
	// PerAgent bounds the badges of one subject; 0 means DefaultPerAgent.
	PerAgent int
	// PerAccount bounds the badges of all subjects of one account; 0 means DefaultPerAccount. They are counted by
	// minutes: the hour begins with a whole one.
	PerAccount int
}

// An Issuance is a signed badge, and what must still hold for it to be handed out.
type Issuance struct {
	Badge Badge
	// Replay, if set, is used up with the issuance: the proof of a badge that is minted from a grant.
	Replay *Replay
	Limits Limits
	Act    Act
}

// A Replay is something that may be seen once, such as the id of a proof.
type Replay struct {
	Key   string    // unique among all kinds of proofs: begin it with the kind
	Until time.Time // when it may be forgotten
}

// A Window bounds how often something is tried.
type Window struct {
	Kind    string // what is tried, such as "dv-verify"
	Subject string // by whom or on what
	Max     int
	Length  time.Duration
}
