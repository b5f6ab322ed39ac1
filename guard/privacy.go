package guard

import "errors"

// A PrivacyPolicy is a policy that may demand strict privacy: that records have nothing against which guesses of
// parameters can be tested. [New] refuses one that does, or may come to, where Evidence is a [PlainHasher] that says yes.
type PrivacyPolicy interface {
	StrictPrivacy() bool
}

// A PlainHasher is a [Recorder] that says whether its records have the unsalted hash of the arguments, as
// *evidence.Ledger does.
type PlainHasher interface {
	PlainHash() bool
}

func (cfg *Config) checkPrivacy() error {
	p, private := cfg.Policy.(PrivacyPolicy)
	h, hashes := cfg.Evidence.(PlainHasher)
	if private && hashes && p.StrictPrivacy() && h.PlainHash() {
		return errors.New("guard: the policy demands strict privacy, or may come to, and Evidence has the plain hash of arguments: " +
			"switch off LedgerConfig.PlainHash, or tell policy.Config of it")
	}
	return nil
}
