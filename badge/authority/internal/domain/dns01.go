package domain

import (
	"context"
	"crypto/subtle"
)

// maxRecords bounds the TXT records of one answer that are looked at.
const maxRecords = 100

// DNS01 asks for the TXT records of [Record] and looks for one that is want, which is [Content] of the
// challenge's token. Other records may stand beside it. A nil error says that domain showed it; every error is
// an *[Error].
func (v *Validator) DNS01(ctx context.Context, domain, want string) error {
	if err := checkDomain(domain); err != nil {
		return err
	}
	if _, err := checkContent(want); err != nil {
		return err
	}
	name := Record(domain)
	if len(name) > MaxDomainBytes {
		return refuse(CodeDomainTooLong, "there is no room for a label before a name of %d bytes: use %s", len(domain), HTTP01)
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	records, err := v.resolver.LookupTXT(ctx, absolute(name))
	if err == nil && len(records) == 0 {
		err = notFound(name)
	}
	switch {
	case err != nil:
		return failure(ctx, err, CodeChallengeDNSFailed)
	case len(records) > maxRecords:
		return refuse(CodeChallengeTooLarge, "%d TXT records: at most %d, remove old ones", len(records), maxRecords)
	}
	for _, record := range records {
		if subtle.ConstantTimeCompare([]byte(record), []byte(want)) == 1 {
			return nil
		}
	}
	return refuse(CodeChallengeMismatch, "none of %d TXT records of %.280q is the challenge's content", len(records), name)
}
