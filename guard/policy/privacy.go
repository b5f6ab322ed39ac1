package policy

import (
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// strictPrivacy is the one value of privacy.
const strictPrivacy = "strict"

// StrictPrivacy implements [guard.PrivacyPolicy]: whether the file says "privacy: strict".
func (p *Policy) StrictPrivacy() bool { return p.privacy }

// StrictPrivacy implements [guard.PrivacyPolicy]: whether the file may come to say so.
func (w *Watcher) StrictPrivacy() bool { return !w.cfg.Policy.PlainHash }

var _ guard.PrivacyPolicy = (*Watcher)(nil)

// readPrivacy refuses a server that records what anybody can test guesses against, where the file demands otherwise.
func (f *file) readPrivacy(n *yaml.Node) error {
	s, err := text(n, "privacy")
	switch {
	case err != nil:
		return err
	case s != strictPrivacy:
		return at(n, "privacy %q is not %q; without it, leave privacy out", s, strictPrivacy)
	case f.plainHash:
		return at(n, "privacy is strict, and the server records the plain hash of arguments, which can be guessed from it; switch that off")
	}
	f.policy.privacy, f.canonical["privacy"] = true, s
	return nil
}
