package authority

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// Types of entries of the issuance log (spec/issuance-log.md, "Types").
const (
	EntryBadgeIssued        = "badge.issued"
	EntryBadgeRevoked       = "badge.revoked"
	EntryAgentRegistered    = "agent.registered"
	EntryAgentStatus        = "agent.status"
	EntryLevelGranted       = "level.granted"
	EntryKeyPublished       = "key.published"
	EntryKeyRetired         = "key.retired"
	EntryKeyWithdrawn       = "key.withdrawn"
	EntryAccountAdded       = "account.added"
	EntryAccountDisabled    = "account.disabled"
	EntryAccountKeyAdded    = "account.key_added"
	EntryAccountKeyEnded    = "account.key_ended"
	EntryAccountEnabled     = "account.enabled"
	EntryAgentKeyAdded      = "agent.key_added"
	EntryAgentKeyUsed       = "agent.key_used"
	EntryAgentKeyRemoved    = "agent.key_removed"
	EntryOrderCreated       = "order.created"
	EntryOrderFailed        = "order.failed"
	EntryGrantIssued        = "grant.issued"
	EntryGrantRevoked       = "grant.revoked"
	EntryDVAccountAdded     = "dv_account.added"
	EntryDVAccountVerified  = "dv_account.verified"
	EntryDVAccountRecovered = "dv_account.recovered"
	EntryDVAccountRevoked   = "dv_account.revoked"
)

const (
	entryVersion          = 1
	entryTimeFormat       = "2006-01-02T15:04:05.000000Z"
	subjectContext        = "touchmark/issuance-log/subject/v1\n"
	entrySubjectHashLabel = "sha256:"
)

// An Entry is one entry of an issuance log: what the authority did. Members that a type does not have are absent.
type Entry struct {
	Version int    `json:"version"`
	Type    string `json:"type"`
	// ID names what the act is about: the badge or grant (jti) of badge.* and grant.*, otherwise it is a new UUID.
	ID     string `json:"id"`
	Issuer string `json:"issuer"`
	Time   string `json:"time"`
	// Subject is a DID, or SubjectHash what [SubjectHash] makes of it.
	Subject     string `json:"subject,omitempty"`
	SubjectHash string `json:"subject_hash,omitempty"`
	Level       string `json:"level,omitempty"`
	Assurance   string `json:"assurance,omitempty"`
	Domain      string `json:"domain,omitempty"`
	// HostHash and DomainHash go with SubjectHash: the same of the host of the DID, and of Domain.
	HostHash   string `json:"host_hash,omitempty"`
	DomainHash string `json:"domain_hash,omitempty"`
	// Key is the RFC 7638 thumbprint of the key that the act is about: the subject's, or the authority's own.
	Key string `json:"key,omitempty"`
	// KeyID is the kid of the authority's key that signed or that the act is about.
	KeyID     string `json:"kid,omitempty"`
	Expires   int64  `json:"expires,omitempty"`
	TokenHash string `json:"token_hash,omitempty"`
	Status    string `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Account   string `json:"account,omitempty"`
	// AccountKey is the id of an account key that was added or ended; Replaces is the one in whose place it was added,
	// which ends at Expires.
	AccountKey string `json:"account_key,omitempty"`
	Replaces   string `json:"replaces,omitempty"`
	// Grant is the grant that a badge was minted from. Order and DVAccount are [IDHash] of the order and of the
	// persistent account of an act: who knows their ids can act on them.
	Grant     string `json:"grant,omitempty"`
	Order     string `json:"order,omitempty"`
	DVAccount string `json:"dv_account,omitempty"`
	By        string `json:"by"`
}

// SubjectHash is how a log with hashed subjects names a DID, the host of a DID, or a domain: who knows the name finds
// its entries, and who does not has to guess it.
func SubjectHash(issuer, name string) string {
	return hashText(sha256.Sum256([]byte(subjectContext + issuer + "\n" + name)))
}

// IDHash is how a log names an order or a persistent account: its owner, who knows the id, finds its entries.
func IDHash(id string) string { return hashText(sha256.Sum256([]byte(id))) }

// act completes an entry and returns the act that stores it.
func (a *Authority) act(now time.Time, by string, e *Entry) (store.Act, error) {
	e.Version, e.Issuer, e.Time, e.By = entryVersion, a.cfg.Issuer, now.UTC().Format(entryTimeFormat), by
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	if e.Order != "" {
		e.Order = IDHash(e.Order)
	}
	if e.DVAccount != "" {
		e.DVAccount = IDHash(e.DVAccount)
	}
	if a.cfg.HashSubjects {
		e.hash()
	}
	text, err := jcs.Marshal(e)
	if err != nil {
		return store.Act{}, err
	}
	return store.Act{At: now, By: by, Entry: text}, nil
}

// hash takes the names out of an entry.
func (e *Entry) hash() {
	if e.Subject != "" {
		e.SubjectHash, e.HostHash = SubjectHash(e.Issuer, e.Subject), SubjectHash(e.Issuer, hostOf(e.Subject))
	}
	if e.Domain != "" {
		e.DomainHash = SubjectHash(e.Issuer, e.Domain)
	}
	e.Subject, e.Domain = "", ""
	if !strings.HasPrefix(e.Type, "key.") {
		e.Key = "" // the thumbprint of a subject's key, which its document shows
	}
}

func hashText(sum [sha256.Size]byte) string {
	return entrySubjectHashLabel + b64.EncodeToString(sum[:])
}
