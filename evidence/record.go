package evidence

import (
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// Version is the value of the member `v` of the records that this package writes and reads.
const Version = 1

// A Kind says what a record is about.
type Kind string

// The kinds of record. A reader refuses others: it would not know what it says yes to.
const (
	KindGenesis   Kind = "genesis"   // the first record of a stream
	KindDecision  Kind = "decision"  // somebody asked, and was allowed or denied
	KindOutcome   Kind = "outcome"   // what came of an allowed call
	KindHeartbeat Kind = "heartbeat" // nothing happened, and nothing is missing
	KindChange    Kind = "change"    // the rules or the configuration changed
	KindRefusals  Kind = "refusals"  // how many attempts were refused without a record of their own
)

// A Header places a record: in which stream, where in it, when, and by whom. The ledger fills it in.
type Header struct {
	ID       string // UUID version 4, lower case
	Stream   StreamID
	Epoch    uint64    // how many times the journal has been opened, 1 for the first; never goes back
	Sequence uint64    // 0 for the genesis record, then one more for each record
	Previous Hash      // [Message.Hash] of the record before; zero in the genesis record
	Time     time.Time // UTC, to the nanosecond
	Server   did.DID   // who keeps the stream; its key signs the entries
}

// A Record is one thing that happened, as spec/evidence.md section 2 defines it. Exactly one of the pointers
// is set, except in heartbeats, where none is. Make records through a [Ledger], or with [Sign] when no
// ledger is at hand; read them with [ParseEntry].
type Record struct {
	Header

	Genesis  *Genesis
	Decision *Decision
	Outcome  *Outcome
	Change   *Change
	Refusals *Refusals

	// Unknown holds the members that this version does not know, in the order of their names. They are kept
	// because the signature covers them; nothing here acts on them. Writers leave it nil.
	Unknown []Member
}

// A Member is a member of a record that this version does not know.
type Member struct {
	Name string // lower-case letters, digits, '_' and '.', beginning with a letter
	JSON string // a canonical string, an integer, or true
}

// Kind returns the record's kind, and "" when it is none or several.
func (r *Record) Kind() Kind {
	kind, n := KindHeartbeat, 0
	set := func(k Kind, is bool) {
		if is {
			kind, n = k, n+1
		}
	}
	set(KindGenesis, r.Genesis != nil)
	set(KindDecision, r.Decision != nil)
	set(KindOutcome, r.Outcome != nil)
	set(KindChange, r.Change != nil)
	set(KindRefusals, r.Refusals != nil)
	if n > 1 {
		return ""
	}
	return kind
}

// Genesis begins a stream.
type Genesis struct {
	LogOrigin string  // origin line of the log the stream is shipped to; empty when there is none
	LogForm   LogForm // what that log holds of each entry
	Software  string  // what wrote the stream, for people; may be empty
}

// AuthLevel is how the caller was authenticated, in the words of the published protocol.
type AuthLevel string

// What a record may say of the caller. There is no constant for "apikey": nothing here verifies API keys, so
// no record may claim one, and readers refuse it (spec/evidence.md section 2.2).
const (
	AuthBadge     AuthLevel = "badge"     // a badge was verified, and DID, BadgeID and Level are its own
	AuthAnonymous AuthLevel = "anonymous" // nothing was verified, whatever was presented
)

// A Caller is who asked, as far as that was verified. What was claimed and not verified has no place in it:
// for AuthAnonymous all other fields are empty.
type Caller struct {
	Auth      AuthLevel
	DID       did.DID
	BadgeID   string // jti
	Issuer    string // of the badge
	Level     string // "0" to "4"
	Assurance string // "0" or "1", the badge's ial
}

// A Channel is who the transport itself authenticated, which is beside the badge and takes its place in
// nothing. The zero Channel authenticated nobody.
type Channel struct {
	Scheme      string // "x509", "spiffe", "jwt-svid", "unix", "oauth"
	Subject     string // in the form of the scheme; recorded as its hash like the texts of a caller
	Certificate Hash   // SHA-256 of the client's certificate; zero for a scheme without one
}

// DecisionKind is the answer to a request. The zero value is not an answer and is refused.
type DecisionKind string

// The four answers. RequireApproval is a DENY on the wire: nothing ran.
const (
	Allow                DecisionKind = "allow"
	AllowWithConstraints DecisionKind = "allow_with_constraints"
	RequireApproval      DecisionKind = "require_approval"
	Deny                 DecisionKind = "deny"
)

// Allows reports whether the answer lets the call run.
func (k DecisionKind) Allows() bool { return k == Allow || k == AllowWithConstraints }

// A Decision says who asked for what, and what the answer was. Text that comes from the caller (Method,
// Target, RequestID, TxnID, HopID, TraceID, Claimed) may be anything: what is too long or not plain text is recorded
// as its hash (spec/evidence.md section 2.4).
type Decision struct {
	Caller  Caller
	Channel Channel
	Actor   string // class that the policy found for the caller: one of the four of package guard; empty if not known
	Claimed Claimed
	Tenant  string // that the server was used for, by what it trusts and never by what the caller says; empty if not known

	Method     string // of the protocol: "tools/call"; required
	Capability string // "tool", "resource", "prompt"; may be empty
	Target     string // tool name, resource URI; empty where the method has none

	Kind          DecisionKind
	Rule          string // id of the rule that decided; may be empty
	PolicyVersion string // digest of the policy in force
	MinLevel      string // "0" to "4": the level that was asked for; may be empty
	DenyReason    string // code, required unless the kind allows: TOOL_TRUST_INSUFFICIENT, ...
	DenyCause     string // the code below it: BADGE_EXPIRED, CALL_PROOF_REPLAYED, ...; may be empty
	Shadow        bool   // the answer was written down and not enforced
	BearerUnsafe  bool   // badges were accepted without a call proof

	ShadowRule   string       // id of a rule that is tried out, and would have decided otherwise; may be empty
	ShadowKind   DecisionKind // what it would have decided; present with ShadowRule
	ShadowReason string       // code, required unless ShadowKind allows

	Constraints Constraints // under which the call may run, or that it exceeded

	RequestID     string
	TxnID         string
	HopID         string // of the verified call proof
	ParentHopHash Hash   // that the verified call proof names; nobody has checked it
	TraceID       string
	SpanID        string // of the guard's own span: 16 hexadecimal digits in lower case, only beside TraceID
	Transport     string // "http", "stdio", "unix", "memory"; may be empty

	// Shown and Withheld count the entries of an answered list: those the caller saw, and those it was not
	// shown. Nil where nothing was listed.
	Shown    *uint64
	Withheld *uint64

	// The rest is filled in by the ledger from the [Draft].

	BadgeHash        Hash       // SHA-256 of the badge as presented, verified or not
	ProofHash        Hash       // SHA-256 of the call proof as presented, verified or not
	ParamsCommitment Hash       // see [Commit]
	ParamsForm       ParamsForm // how the parameters were committed to
	ParamsHash       Hash       // unsalted, guessable; only where the ledger was told to write it
}

// ParamsForm says what a commitment to parameters is made of.
type ParamsForm string

// Tree is the form of every call whose parameters have a canonical form. Octets is the form of the others:
// nobody can open one value of what is not an object of unambiguous JSON.
const (
	ParamsTree   ParamsForm = "tree"
	ParamsOctets ParamsForm = "octets"
)

// OutcomeStatus says how a call ended.
type OutcomeStatus string

// The ways a call ends.
const (
	OutcomeOK            OutcomeStatus = "ok"
	OutcomeError         OutcomeStatus = "error"
	OutcomeInputRequired OutcomeStatus = "input_required" // answered with a question; the retry is another call
	OutcomeUnknown       OutcomeStatus = "unknown"        // the server stopped before it could tell
)

// An Outcome says what came of a decision that let a call run.
type Outcome struct {
	DecisionID       string // Header.ID of the decision
	DecisionSequence uint64 // Header.Sequence of the decision
	Status           OutcomeStatus
	ErrorClass       string        // a word such as "panic", "timeout", "tool_error"; required for OutcomeError, else empty
	Duration         time.Duration // 0 for OutcomeUnknown

	// The rest is filled in by the ledger from the [Draft].

	ResultCommitment Hash   // zero when there was no result
	ResultSize       uint64 // octets
}

// ChangeSubject says what changed.
type ChangeSubject string

// What a change is about.
const (
	ChangePolicy        ChangeSubject = "policy"
	ChangeConfiguration ChangeSubject = "configuration"
	ChangeKey           ChangeSubject = "key"
)

// A Change says that from here on something else holds: without it the next decision under other rules would
// be the first to tell.
type Change struct {
	Subject               ChangeSubject
	PolicyVersion         string // digest of the policy from here on
	PreviousPolicyVersion string // digest of the policy before; empty at the first start
	Shadow                bool   // answers are written down and not enforced from here on
	BearerUnsafe          bool   // badges are accepted without a call proof from here on
	EgressEnforcedBy      string // what keeps the server to network allow-lists, as who runs it declares; may be empty
}
