package guard_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// certified is a channel with a client certificate, or a SPIFFE ID without one.
type certified struct {
	subject string
	sum     [32]byte
	id      string
}

func (certified) Scheme() string    { return "spiffe" }
func (c certified) Subject() string { return c.subject }
func (c certified) SPIFFEID() string {
	return c.id
}
func (c certified) CertificateSHA256() ([32]byte, bool) { return c.sum, c.sum != [32]byte{} }

type named struct{}

func (named) Scheme() string  { return "oauth" }
func (named) Subject() string { return "ada" }

const adaID = "spiffe://agents.example/ada"

// boundWorld is a world with an agent whose badge is bound by change.
func boundWorld(t *testing.T, change func(*badge.Template)) (*guardtest.World, *guardtest.Agent) {
	t.Helper()
	w := guardtest.New(t)
	ada := w.NewAgent("did:web:agents.example:ada", badge.LevelDomain)
	doc, err := did.NewDocument(ada.DID, did.DocumentKey{Fragment: "key-1", Key: ada.Public()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.CA.Config()
	cfg.Resolver = did.StaticResolver{ada.DID: doc}
	if w.Badges, err = badge.NewVerifier(cfg); err != nil {
		t.Fatal(err)
	}
	ada.Badge = w.CA.Issue(ada.Agent, badge.LevelDomain, func(x *badge.Template) {
		x.ID = ada.BadgeID
		x.Assurance, x.ConfirmationKeyID = badge.AssurancePossession, ada.DID.String()+"#key-1"
		change(x)
	})
	return w, ada
}

func TestBoundBadge(t *testing.T) {
	sum, other := sha256.Sum256([]byte("certificate")), sha256.Sum256([]byte("another"))
	byCertificate := func(x *badge.Template) { x.CertificateSHA256 = sum[:] }
	byID := func(x *badge.Template) { x.SPIFFEID = adaID }
	byBoth := func(x *badge.Template) { byCertificate(x); byID(x) }
	for _, test := range []struct {
		name    string
		bind    func(*badge.Template)
		channel guard.ChannelIdentity
		cause   string // "" for admitted
	}{
		{"certificate", byCertificate, certified{"dns:ada", sum, ""}, ""},
		{"certificate, another", byCertificate, certified{"dns:ada", other, adaID}, guard.CauseOtherCertificate},
		{"certificate, no channel", byCertificate, nil, guard.CauseNoCertificate},
		{"certificate, a token", byCertificate, named{}, guard.CauseNoCertificate},
		{"certificate, a channel without one", byCertificate, certified{adaID, [32]byte{}, adaID}, guard.CauseNoCertificate},
		{"ID", byID, certified{adaID, other, adaID}, ""},
		{"ID, another", byID, certified{adaID + "2", sum, adaID + "2"}, guard.CauseOtherSPIFFEID},
		{"ID, a certificate without one", byID, certified{"dns:ada", sum, ""}, guard.CauseOtherSPIFFEID},
		{"ID, a JWT-SVID", byID, certified{adaID, [32]byte{}, adaID}, guard.CauseNoCertificate},
		{"ID, no channel", byID, nil, guard.CauseNoCertificate},
		{"both", byBoth, certified{adaID, sum, adaID}, ""},
		{"both, another certificate", byBoth, certified{adaID, other, adaID}, guard.CauseOtherCertificate},
		{"both, another ID", byBoth, certified{adaID + "2", sum, adaID + "2"}, guard.CauseOtherSPIFFEID},
		{"neither", func(*badge.Template) {}, certified{adaID, sum, adaID}, ""},
		{"neither, no channel", func(*badge.Template) {}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, ada := boundWorld(t, test.bind)
			g := w.Guard(withPolicy(always(guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain})))
			r := ada.Call("read_file", `{"path":"/tmp/x"}`)
			r.Channel = test.channel
			grant, err := g.Check(t.Context(), r)
			d := last(t, w.Recorder.Decisions())
			checkChannelRecord(t, d, test.channel)
			if test.cause == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
					t.Error(err)
				}
				return
			}
			if got := refusal(t, err); got.Code != guard.CodeChannelMismatch || got.Cause != test.cause || got.Hidden {
				t.Errorf("refused with %+v, want %s", got, test.cause)
			}
			if d.DenyReason != string(guard.CodeChannelMismatch) || d.DenyCause != test.cause || d.Caller.DID != ada.DID || d.HopID != "" {
				t.Errorf("the record says %+v", d)
			}
		})
	}
}

// checkChannelRecord: the record has the channel as it was, whatever was decided.
func checkChannelRecord(t *testing.T, d *evidence.Decision, c guard.ChannelIdentity) {
	t.Helper()
	want := evidence.Channel{}
	if c != nil {
		want.Scheme, want.Subject = c.Scheme(), c.Subject()
	}
	if c, ok := c.(certified); ok {
		want.Certificate = evidence.Hash(c.sum)
	}
	if d.Channel != want {
		t.Errorf("the record has the channel %+v, want %+v", d.Channel, want)
	}
}

// TestBoundBadgeKeepsProof: a thief on another channel does not use up the call proof that it stole, and bearers
// are not admitted without the channel.
func TestBoundBadgeKeepsProof(t *testing.T) {
	sum := sha256.Sum256([]byte("certificate"))
	w, ada := boundWorld(t, func(x *badge.Template) { x.CertificateSHA256 = sum[:] })
	allow := withPolicy(always(guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain}))
	g := w.Guard(allow)
	stolen := ada.Call("read_file", `{}`)
	if _, err := g.Check(t.Context(), stolen); refusal(t, err).Code != guard.CodeChannelMismatch {
		t.Errorf("the thief: %v", err)
	}
	stolen.Channel = certified{"dns:ada", sum, ""}
	if _, err := g.Check(t.Context(), stolen); err != nil {
		t.Errorf("the owner: %v", err)
	}
	if _, err := g.Check(t.Context(), stolen); refusal(t, err).Code != guard.Code(pop.CodeReplayed) {
		t.Errorf("the owner again: %v", err)
	}
	bearer := w.Guard(allow, func(c *guard.Config) { c.AllowBearerUnsafe = true })
	bare := ada.Call("read_file", `{}`)
	bare.Proof, bare.TxnID = "", ""
	if _, err := bearer.Check(t.Context(), bare); refusal(t, err).Code != guard.CodeChannelMismatch {
		t.Errorf("a bearer: %v", err)
	}
	if text := (&guard.Refusal{Code: guard.CodeChannelMismatch}).Reason(); !strings.Contains(text, "client certificate") {
		t.Errorf("the caller is told %q", text)
	}
}
