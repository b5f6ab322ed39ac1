package authority

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// Types of entries of the issuance log (spec/issuance-log.md, "Types").
const (
	EntryBadgeIssued      = "badge.issued"
	EntryBadgeRevoked     = "badge.revoked"
	EntryAgentRegistered  = "agent.registered"
	EntryAgentStatus      = "agent.status"
	EntryLevelGranted     = "level.granted"
	EntryKeyPublished     = "key.published"
	EntryKeyRetired       = "key.retired"
	EntryKeyWithdrawn     = "key.withdrawn"
	EntryAccountAdded     = "account.added"
	EntryAccountDisabled  = "account.disabled"
	EntryAccountKeyAdded  = "account.key_added"
	EntryAccountKeyEnded  = "account.key_ended"
	entryVersion          = 1
	entryTimeFormat       = "2006-01-02T15:04:05.000000Z"
	subjectContext        = "touchmark/issuance-log/subject/v1\n"
	entrySubjectHashLabel = "sha256:"
)

// An Entry is one entry of an issuance log: what the authority did. Members that a type does not have are absent.
type Entry struct {
	Version int    `json:"version"`
	Type    string `json:"type"`
	// ID names the act: for badge.issued and badge.revoked the badge (jti), otherwise a UUID.
	ID     string `json:"id"`
	Issuer string `json:"issuer"`
	Time   string `json:"time"`
	// Subject is a DID, or SubjectHash what [SubjectHash] makes of it.
	Subject     string `json:"subject,omitempty"`
	SubjectHash string `json:"subject_hash,omitempty"`
	Level       string `json:"level,omitempty"`
	Assurance   string `json:"assurance,omitempty"`
	Domain      string `json:"domain,omitempty"`
	// Key is the RFC 7638 thumbprint of the key that the act is about: the subject's, or the authority's own.
	Key string `json:"key,omitempty"`
	// KeyID is the kid of the authority's key that signed or that the act is about.
	KeyID     string `json:"kid,omitempty"`
	Expires   int64  `json:"expires,omitempty"`
	TokenHash string `json:"token_hash,omitempty"`
	Status    string `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Account   string `json:"account,omitempty"`
	By        string `json:"by"`
}

// SubjectHash is how a log with hashed subjects names a DID: who knows the DID finds its entries, and who does not
// learns nothing but that some subject had them.
func SubjectHash(issuer, subject string) string {
	sum := sha256.Sum256([]byte(subjectContext + issuer + "\n" + subject))
	return entrySubjectHashLabel + b64.EncodeToString(sum[:])
}

// act completes an entry and returns the act that stores it.
func (a *Authority) act(now time.Time, by string, e *Entry) (store.Act, error) {
	e.Version, e.Issuer, e.Time, e.By = entryVersion, a.cfg.Issuer, now.UTC().Format(entryTimeFormat), by
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	if a.cfg.HashSubjects && e.Subject != "" {
		// The domain and the thumbprint would tell as much as the DID.
		e.SubjectHash, e.Subject, e.Domain = SubjectHash(a.cfg.Issuer, e.Subject), "", ""
		if e.Type == EntryBadgeIssued || e.Type == EntryAgentRegistered {
			e.Key = ""
		}
	}
	text, err := jcs.Marshal(e)
	if err != nil {
		return store.Act{}, err
	}
	return store.Act{At: now, By: by, Entry: text}, nil
}

func hashText(sum [sha256.Size]byte) string {
	return entrySubjectHashLabel + b64.EncodeToString(sum[:])
}
