package guard

import (
	"encoding/json"

	"github.com/touchmark-dev/touchmark/badge"
)

// A Verb says what a caller wants with a capability. The zero Verb is refused.
type Verb uint8

// The verbs.
const (
	Discover Verb = iota + 1 // learn what there is
	Invoke                   // use it
)

// A Kind says what sort of thing a capability is. It is recorded as it stands.
type Kind string

// The kinds of capability that MCP has.
const (
	KindTool     Kind = "tool"
	KindPrompt   Kind = "prompt"
	KindResource Kind = "resource"
	KindTemplate Kind = "resource_template"
	KindMethod   Kind = "method" // a method that is none of the standard ones, named by itself
	KindTask     Kind = "task"   // a task that nobody knows; one that somebody knows is used as what it came from
)

// A Capability is one thing that a server offers: a tool by its name, a resource by its URI.
type Capability struct {
	Kind Kind
	Name string
}

// MaxNameBytes is the length of the longest name that is matched with a policy. A capability with a longer
// one, or with one that is not UTF-8, does not exist for the guard.
const MaxNameBytes = 1024

// LevelUnsatisfiable is a minimum level that no badge reaches. Adapters use it for an annotation that they
// cannot read.
const LevelUnsatisfiable badge.Level = 255

// A Request is one attempt to discover or to use something. Everything in it that came from the caller is
// claimed and nothing more: there is no member by which a caller could choose the policy, the mode, its own
// identity, or an approval.
type Request struct {
	Verb       Verb
	Method     string // of the protocol: "tools/call"; required
	Capability Capability

	// Further is what the same request uses beside Capability. All of it must be allowed.
	Further []Item

	// Owned, if it is not nil, is asked once the caller is known, of what belongs to who made it, as a task does: for
	// what is the caller's it returns what it came from, which is decided about in place of Capability, Require and
	// Further. False means that there is no such thing, or that it is not the caller's, and refuses like Missing: nobody
	// is told the difference. A Limiter is not asked: a limit counts what begins work, and this follows it.
	Owned func(caller *Principal) (Item, bool)

	// Require is the minimum level that stands beside the capability itself, its annotation. It can raise
	// what the policy asks for and never lower it. LevelNone means that there is none.
	Require badge.Level

	// RequireIsRule says that Require was written by who runs this guard, beside a capability of the very
	// server that it protects. Where the policy has no rule, Require is then the rule. Leave it false for the
	// annotations of an upstream server.
	RequireIsRule bool

	// Missing says that the adapter knows that there is no such capability. It is then refused whatever the
	// policy says, and recorded.
	Missing bool

	// Target is what a call proof names as the target of the call. Empty means Capability.Name.
	Target string

	// HTTPMethod and HTTPURI are what the claims htm and htu of a call proof must say. Empty means what they say for
	// every call over MCP (spec/call-proof.md section 2.3).
	HTTPMethod, HTTPURI string

	// Arguments and InputResponses are the parameters as the caller sent them. The call proof covers them,
	// and the record commits to them.
	Arguments      json.RawMessage
	InputResponses json.RawMessage

	Badge string // compact JWS as presented; empty makes the caller anonymous
	Proof string // compact JWS as presented: the call proof
	TxnID string // the transaction that the call proof belongs to

	// Channel is what the transport itself authenticated about the caller, nil if nothing. Policies see it;
	// it does not take the place of a badge.
	Channel ChannelIdentity

	// Facts are what the adapter knows of the call from sources that the caller does not choose.
	Facts Facts

	RequestID string // the protocol's id of the request, for the record
	TraceID   string // for the record, where no [Observer] has a span of its own

	// TraceParent and TraceState are the W3C trace context as the caller sent it, for the [Observer]: unverified, and
	// empty if there was none.
	TraceParent, TraceState string

	// Claimed is what the caller says of itself, for the record.
	Claimed Claimed

	Transport string // "http", "stdio", "unix", "memory", for the record; may be empty
}

// Claimed is what a caller says of itself in members that ask for what it cannot choose. It is recorded as claimed,
// and nothing else is done with it: no policy sees it (spec/guard.md section 3.2). An empty member was not claimed.
type Claimed struct {
	Actor    string // the class that it says it is of
	Policy   string // that it wants applied
	Mode     string // that it wants the guard to be in
	Approval string // that it says it has
}

// A ChannelIdentity is an identity that a transport established: a client certificate, a peer credential of a
// socket, the subject of an access token.
type ChannelIdentity interface {
	Scheme() string  // such as "oauth", "spiffe", "unix": letters, digits, '_', '-' and '.'
	Subject() string // in the form of the scheme
}

// A CertifiedChannel is a ChannelIdentity that may rest on a certificate of the caller. A badge that is bound to
// one is refused on every other channel (spec/guard.md section 3.1). *workload.Principal is one.
type CertifiedChannel interface {
	ChannelIdentity

	// CertificateSHA256 returns the SHA-256 of the certificate with which the caller authenticated on this very
	// channel, and false if it did not by certificate.
	CertificateSHA256() (sum [32]byte, ok bool)

	// SPIFFEID returns the SPIFFE ID that was verified, or "". It counts only beside a certificate.
	SPIFFEID() string
}

// An Item is an entry of a list that a caller asked for.
type Item struct {
	Capability    Capability
	Require       badge.Level // as in [Request]
	RequireIsRule bool        // as in [Request]
	Missing       bool        // withheld, whatever the policy says
}

func (r *Request) target() string {
	if r.Target != "" {
		return r.Target
	}
	return r.Capability.Name
}

// items returns all that a request of a caller is about, in room if it is one thing. None means that there is no such
// thing for this caller.
func (r *Request) items(caller *Principal, room *[1]Item) []Item {
	if r.Owned != nil {
		it, ok := r.Owned(caller)
		if !ok {
			return nil
		}
		room[0] = it
		return room[:]
	}
	room[0] = Item{Capability: r.Capability, Require: r.Require, RequireIsRule: r.RequireIsRule, Missing: r.Missing}
	return append(room[:], r.Further...)
}
