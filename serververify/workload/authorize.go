package workload

import (
	"errors"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// An Authorizer says whether a verified principal may use a channel; its error
// says why not. There is no default: a configuration without one is refused.
type Authorizer func(*Principal) error

// AuthorizeID admits X.509-SVIDs with one of these SPIFFE IDs.
func AuthorizeID(ids ...string) (Authorizer, error) {
	if len(ids) == 0 {
		return nil, errors.New("workload: AuthorizeID with no SPIFFE ID admits nobody")
	}
	wanted := make(map[spiffeid.ID]bool, len(ids))
	for _, text := range ids {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return nil, fmt.Errorf("workload: SPIFFE ID %q: %w", text, err)
		}
		wanted[id] = true
	}
	return func(p *Principal) error {
		if p.scheme != SchemeSPIFFE || !wanted[p.id] {
			return fmt.Errorf("workload: peer %q is not among the SPIFFE IDs that are admitted", p.subject)
		}
		return nil
	}, nil
}

// AuthorizeTrustDomain admits every X.509-SVID of these trust domains.
func AuthorizeTrustDomain(names ...string) (Authorizer, error) {
	domains, err := trustDomains(names)
	if err != nil {
		return nil, err
	}
	return func(p *Principal) error {
		if p.scheme != SchemeSPIFFE || !domains[p.id.TrustDomain()] {
			return fmt.Errorf("workload: peer %q is of none of the trust domains that are admitted", p.subject)
		}
		return nil
	}, nil
}

func trustDomains(names []string) (map[spiffeid.TrustDomain]bool, error) {
	if len(names) == 0 {
		return nil, errors.New("workload: no trust domain: nobody could be admitted")
	}
	domains := make(map[spiffeid.TrustDomain]bool, len(names))
	for _, name := range names {
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, fmt.Errorf("workload: trust domain %q: %w", name, err)
		}
		domains[td] = true
	}
	return domains, nil
}

// AuthorizeVerified admits every certificate below the configured roots, or
// every X.509-SVID of a trust domain whose bundle is at hand: whoever can get a
// certificate from one of them is in.
func AuthorizeVerified() Authorizer {
	return func(p *Principal) error {
		if p.scheme == "" {
			return ErrNoIdentity
		}
		return nil
	}
}
