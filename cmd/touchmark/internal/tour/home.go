package tour

import (
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// homeTrust is the file of flags by which the commands trust whom the tour
// trusts. The badges are good for an hour; nobody keeps a revocation list of
// them, so that none is asked for.
const homeTrust = `# %s
issuer: ["%s=jwks.json"]
unsafe-no-status: true
trust-self-signed: ["%s"]
did-document: [server.did.json]
min-level: "0"
`

// homePolicy lets a gateway in front of a file server read for level 2.
const homePolicy = `# %s
version: 1
rules:
  - {id: reads, match: {tool: "read_*"}, min_level: 2, decision: allow}
  - {id: lists, match: {tool: "list_*"}, min_level: 2, decision: allow}
  - {id: information, match: {tool: "get_*"}, min_level: 2, decision: allow}
`

// saveHome makes the directory one that --home takes.
func (w *world) saveHome() error {
	keys := make([]*jwk.Public, 0, 1)
	for _, k := range w.caKeys[issuer] {
		keys = append(keys, &jwk.Public{Key: k.Public, KeyID: k.ID})
	}
	set, err := jwk.MarshalSet(keys)
	if err != nil {
		return err
	}
	if err := w.publish("jwks.json", append(set, '\n')); err != nil {
		return err
	}
	if err := w.publish("trust.yaml", fmt.Appendf(nil, homeTrust, Banner, issuer, w.agents[0].did)); err != nil {
		return err
	}
	return w.publish("policy.yaml", fmt.Appendf(nil, homePolicy, Banner))
}
