package evidence

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/translog"
)

// The fixed points of all vectors.
const (
	server  = "did:web:mcp.example.com"
	keyID   = server + "#key-1"
	agent   = "did:web:agents.example:ada"
	badgeID = "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"
	policy  = "sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	context = "touchmark/evidence/v1\n"
)

// A world has the keys of everybody.
type world struct {
	key, stranger ed25519.PrivateKey
	salt          evidence.Salt
	params        evidence.Params
}

func newWorld() *world {
	return &world{
		key: edKey("server"), stranger: edKey("stranger"), salt: seed("salt"),
		params: evidence.Params{
			Arguments:      json.RawMessage(`{"path":"/srv/data/a.txt","pin":1234}`),
			InputResponses: json.RawMessage(`{"approval":{"action":"accept"}}`),
		},
	}
}

func seed(name string) [32]byte { return sha256.Sum256([]byte("touchmark evidence vectors: " + name)) }

func edKey(name string) ed25519.PrivateKey {
	s := seed(name)
	return ed25519.NewKeyFromSeed(s[:])
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/evidence: internal error: " + err.Error())
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(key ed25519.PrivateKey) json.RawMessage {
	text, err := jwk.Marshal(key.Public(), "")
	must(err)
	return text
}

// header is the header of the record with this number.
func header(seq uint64, previous evidence.Hash) evidence.Header {
	id := sha256.Sum256(fmt.Appendf(nil, "record %d", seq))
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	if seq > 0 && previous.IsZero() {
		previous = evidence.Hash(sha256.Sum256([]byte("the record before")))
	}
	return evidence.Header{
		ID:     fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16]),
		Stream: evidence.StreamID(id[16:]), Epoch: 1, Sequence: seq, Previous: previous,
		Time:   time.Unix(1790000000, 5e8).Add(time.Duration(seq) * time.Second),
		Server: did.MustParse(server),
	}
}

// stream is the header of a record of the one stream.
func stream(seq uint64, previous evidence.Hash) evidence.Header {
	h := header(seq, previous)
	h.Stream = header(0, evidence.Hash{}).Stream
	return h
}

func (w *world) genesis() *evidence.Record {
	return &evidence.Record{
		Header:  stream(0, evidence.Hash{}),
		Genesis: &evidence.Genesis{LogOrigin: "log.example/touchmark", Software: "touchmark vectors"},
	}
}

// digested is the genesis record of a stream whose log holds digests.
func (w *world) digested() *evidence.Record {
	r := w.genesis()
	r.Genesis.LogForm = evidence.FormDigest
	return r
}

// denied is a decision with every member that one can have.
func (w *world) denied(seq uint64) *evidence.Record {
	shown, withheld, retries, hosts := uint64(3), uint64(0), uint64(0), "api.example db.example:5432"
	r := w.allowed(seq)
	d := r.Decision
	d.Kind, d.DenyReason, d.DenyCause, d.MinLevel = evidence.Deny, "TOOL_TRUST_INSUFFICIENT", "LEVEL_TOO_LOW", "3"
	d.Rule, d.Shadow, d.BearerUnsafe = "writes", true, true
	d.Shown, d.Withheld = &shown, &withheld
	d.Channel = evidence.Channel{
		Scheme: "spiffe", Subject: "spiffe://agents.example/ada", Certificate: evidence.Hash(sha256.Sum256([]byte("certificate"))),
	}
	d.Actor, d.SpanID = "automation", "b7ad6b7169203331"
	d.Tenant = "acme"
	d.Claimed = evidence.Claimed{Actor: "human", Policy: "none", Mode: "observe", Approval: "ticket 7"}
	d.ShadowRule, d.ShadowKind, d.ShadowReason = "writes-by-people", evidence.RequireApproval, "APPROVAL_REQUIRED"
	d.Constraints = evidence.Constraints{
		MaxRuntimeSec: 30, MaxRetries: &retries, MaxResultBytes: 1 << 20, RatePerMinute: 60, MaxConcurrent: 2, NetworkAllowlist: &hosts,
	}
	d.ParentHopHash = evidence.Hash(sha256.Sum256([]byte("parent")))
	hash, err := evidence.HashParams(w.params.Arguments)
	must(err)
	d.ParamsHash = hash
	return r
}

func (w *world) allowed(seq uint64) *evidence.Record {
	r := w.anonymous(seq)
	d := r.Decision
	d.Caller = evidence.Caller{
		Auth: evidence.AuthBadge, DID: did.MustParse(agent), BadgeID: badgeID, Issuer: "https://registry.example", Level: "2", Assurance: "1",
	}
	d.BadgeHash = evidence.Hash(sha256.Sum256([]byte("badge")))
	d.ProofHash = evidence.Hash(sha256.Sum256([]byte("proof")))
	d.HopID, d.TxnID = "550e8400-e29b-41d4-a716-446655440000", "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b11"
	d.TraceID, d.Rule = "0af7651916cd43dd8448eb211c80319c", "reads"
	return r
}

// anonymous is a decision with no more than it needs.
func (w *world) anonymous(seq uint64) *evidence.Record {
	commitment, form := evidence.Commit(w.salt, &w.params)
	return &evidence.Record{Header: stream(seq, evidence.Hash{}), Decision: &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous},
		Method: "tools/call", Capability: "tool", Target: "read_file", Kind: evidence.Allow, PolicyVersion: policy,
		RequestID: "7", Transport: "http", ParamsCommitment: commitment, ParamsForm: form,
	}}
}

const result = `{"content":[{"text":"hello","type":"text"}]}`

func (w *world) outcome(seq uint64, of *evidence.Record) *evidence.Record {
	return &evidence.Record{Header: stream(seq, evidence.Hash{}), Outcome: &evidence.Outcome{
		DecisionID: of.ID, DecisionSequence: of.Sequence, Status: evidence.OutcomeOK, Duration: 1500 * time.Microsecond,
		ResultCommitment: evidence.CommitResult(w.salt, []byte(result)), ResultSize: uint64(len(result)),
	}}
}

func (w *world) heartbeat(seq uint64) *evidence.Record {
	return &evidence.Record{Header: stream(seq, evidence.Hash{})}
}

func (w *world) change(seq uint64) *evidence.Record {
	return &evidence.Record{Header: stream(seq, evidence.Hash{}), Change: &evidence.Change{
		Subject: evidence.ChangePolicy, PolicyVersion: policy, PreviousPolicyVersion: "none",
	}}
}

// refusals counts as many as no server writes down one by one.
func (w *world) refusals(seq uint64) *evidence.Record {
	r := &evidence.Record{Header: stream(seq, evidence.Hash{}), Refusals: &evidence.Refusals{
		From: time.Unix(1790000000, 3e8), To: time.Unix(1790000000, 4e8), BearerUnsafe: true, Count: 1034,
		Groups: []evidence.RefusalGroup{
			{Count: 1000, Auth: evidence.AuthAnonymous, Reason: "REQUEST_MALFORMED", Cause: "PARAMS_MALFORMED", Capability: "tool", Method: "tools/call"},
			{Count: 21, Auth: evidence.AuthAnonymous, Reason: "TOOL_AUTH_MISSING", Capability: "prompt", Method: evidence.RefusalAnyMethod},
			{Count: 7, Auth: evidence.AuthBadge, Reason: "CALL_PROOF_REPLAYED", Method: "a method 日本"},
			{Count: 6, Auth: evidence.AuthBadge, Reason: evidence.RefusalOther, Method: evidence.RefusalAnyMethod},
		},
	}}
	return r
}

// entry signs a record that is one.
func (w *world) entry(r *evidence.Record) string {
	text, err := evidence.Sign(r, keyID, w.key)
	must(err)
	return string(text)
}

// record is the text of a record that is one.
func record(r *evidence.Record) string {
	m, err := r.Message()
	must(err)
	return string(m.Record())
}

// sign signs the text of what may not be a record.
func (w *world) sign(record string) string { return entryOf(keyID, record, w.key, context) }

func entryOf(kid, record string, key ed25519.PrivateKey, context string) string {
	sig := ed25519.Sign(key, []byte(context+record))
	return `{"kid":"` + kid + `","record":` + record + `,"sig":"` + b64(sig) + `"}`
}

// edit replaces old, which must be there.
func edit(text, old, with string) string {
	if !strings.Contains(text, old) {
		panic(fmt.Sprintf("vectorgen/evidence: internal error: no %q in %s", old, text))
	}
	return strings.Replace(text, old, with, 1)
}

// with sets a member of a record's text, in canonical form; a nil value removes it.
func with(text, member string, value any) string {
	members := make(map[string]any)
	must(json.Unmarshal([]byte(text), &members))
	if members[member] = value; value == nil {
		if !strings.Contains(text, `"`+member+`":`) {
			panic("vectorgen/evidence: internal error: no member " + member)
		}
		delete(members, member)
	}
	out, err := jcs.Marshal(members)
	must(err)
	return string(out)
}

// vector makes a vector of the entries.
func (w *world) vector(kind string, entries ...string) *Vector {
	return &Vector{Kind: kind, Entries: entries, Keys: map[string]json.RawMessage{keyID: publicJWK(w.key)}}
}

// bad is an entry whose record is this text.
func (w *world) bad(name string, code evidence.Code, member, defect, record string) *Vector {
	return w.vector(KindEntry, w.sign(record)).reject(name, code, member, defect)
}

func (v *Vector) reject(name string, code evidence.Code, member, defect string) *Vector {
	v.Name, v.Defect, v.Description = name, defect, "refused: "+defect
	v.Expect = Expect{Verdict: Rejected, Code: string(code), Member: member}
	return v
}

func (v *Vector) accept(name, description string) *Vector {
	v.Name, v.Description = name, description
	v.Expect = Expect{Verdict: Accepted}
	if v.Kind != KindEntry && v.Kind != KindChain {
		return v
	}
	for _, text := range v.Entries {
		e, err := evidence.ParseEntry([]byte(text))
		must(err)
		m, err := e.Record.Message()
		must(err)
		v.Expect.LeafHashes = append(v.Expect.LeafHashes, evidence.Hash(translog.LeafHash([]byte(text))).String())
		v.Expect.RecordHashes = append(v.Expect.RecordHashes, m.Hash().String())
		for _, u := range e.Record.Unknown {
			v.Expect.Unknown = append(v.Expect.Unknown, u.Name)
		}
	}
	return v
}
