package mcpwire

// The JSON-RPC error codes of refusals by the guard. They stand outside of
// -32768 to -32000, which JSON-RPC and MCP keep to themselves.
const (
	CodeDenied       = -31403 // examined and refused
	CodeUndetermined = -31503 // could not be told, and so refused; may be tried again later
)

// A Denial is the data member of the error by which a guard refuses a request
// (spec/guard.md section 7).
type Denial struct {
	ReasonCode string `json:"reason_code"`
	Cause      string `json:"cause,omitempty"`
	DecisionID string `json:"decision_id,omitempty"`

	// RetryAfterMS is when it may be worth to try again, in milliseconds.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

// Evidence is the value of MetaEvidence in the result of a guarded call.
type Evidence struct {
	ID       string `json:"id"`                // of the decision's record
	LeafHash string `json:"leaf_hash"`         // RFC 6962 hash of the leaf that the log is to hold of it
	Promise  string `json:"promise,omitempty"` // signed promise that it will be in the log
	Entry    string `json:"entry,omitempty"`   // the entry, where the log holds its digest alone
}
