package authzen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits of what a decision can say.
const (
	maxObligations = 16
	maxVersion     = 64
)

// An answer is what a service said about one question. The zero answer denies.
type answer struct {
	permit      bool
	approval    bool // denied, and the denial can be asked to be lifted
	unmet       bool // permitted with an obligation that nobody here can meet
	constraints *guard.Constraints
	version     string
}

// A reader reads answers for who enforces some constraints.
type reader struct {
	enforces []string
	now      time.Time
}

type members map[string]json.RawMessage

// fields reads an object. What differs from a known name in case alone is refused: the service may have meant it.
// Other members are ignored, as the Authorization API has it.
func fields(data []byte, what string, known ...string) (members, error) {
	var m members
	if err := strictjson.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if m == nil {
		return nil, fmt.Errorf("%s is null", what)
	}
	for name := range m {
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return nil, fmt.Errorf("%s has %q, which is not %q", what, name, k)
			}
		}
	}
	return m, nil
}

// text returns a string, and false if there is none.
func (m members) text(name string) (string, bool) {
	v, err := strictjson.Parse(m[name])
	if err != nil {
		return "", false
	}
	return v.Text()
}

// decision reads a Decision of the Authorization API.
func (r *reader) decision(data []byte) (a answer, err error) {
	m, err := fields(data, "the decision", "decision", "context")
	if err != nil {
		return a, err
	}
	switch string(m["decision"]) {
	case "true":
		a.permit = true
	case "false":
	default:
		return answer{}, errors.New("the decision has no member decision that is true or false")
	}
	if about, ok := m["context"]; ok {
		if err := r.context(&a, about); err != nil {
			return answer{}, err
		}
	}
	return a, nil
}

func (r *reader) context(a *answer, data []byte) error {
	m, err := fields(data, "context", "obligations", "access_request", "policy_version")
	if err != nil {
		return err
	}
	if _, ok := m["policy_version"]; ok {
		if a.version, ok = m.text("policy_version"); !ok || !plainVersion(a.version) {
			return fmt.Errorf("policy_version is not a text of at most %d plain characters", maxVersion)
		}
	}
	if list, ok := m["obligations"]; ok {
		if err := r.obligations(a, list); err != nil {
			return err
		}
	}
	if request, ok := m["access_request"]; ok {
		if a.permit {
			return errors.New("a permit with an access_request")
		}
		a.approval = !a.unmet && a.constraints == nil && r.requestable(request)
	}
	return nil
}

// vendor is whose obligations of type custom are understood.
const vendor = "dev.touchmark"

func (r *reader) obligations(a *answer, data []byte) error {
	var list []json.RawMessage
	if err := strictjson.Unmarshal(data, &list); err != nil || list == nil {
		return errors.New("obligations is not a list")
	}
	if len(list) > maxObligations {
		return fmt.Errorf("more than %d obligations", maxObligations)
	}
	seen := make(map[string]bool)
	for _, one := range list {
		m, err := fields(one, "an obligation", "id", "type", "properties")
		if err != nil {
			return err
		}
		id, ok1 := m.text("id")
		kind, ok2 := m.text("type")
		if !ok1 || !ok2 || seen[id] {
			return errors.New("an obligation without an id of its own, or without a type")
		}
		seen[id] = true
		properties, err := fields(m["properties"], "properties", append(guard.ConstraintNames(), "vendor")...)
		if err != nil {
			return err
		}
		r.obligation(a, kind, properties)
	}
	return nil
}

// obligation turns one into constraints. One that is not understood, whole, cannot be met.
func (r *reader) obligation(a *answer, kind string, properties members) {
	if v, _ := properties.text("vendor"); kind != "custom" || v != vendor {
		a.unmet = true
		return
	}
	delete(properties, "vendor")
	text, err := json.Marshal(properties)
	if err != nil {
		a.unmet = true
		return
	}
	c, err := policy.ParseConstraints(text, r.enforces)
	if err != nil {
		a.unmet = true
		return
	}
	a.constraints = guard.Tighter(a.constraints, c)
}

// requestable reports whether a denial can be asked to be lifted, by the profile for access requests.
func (r *reader) requestable(data []byte) bool {
	m, err := fields(data, "access_request", "endpoint", "expires_at")
	if err != nil {
		return false
	}
	where, _ := m.text("endpoint")
	u, err := url.Parse(where)
	until, _ := m.text("expires_at")
	expires, errTime := time.Parse(time.RFC3339, until)
	return err == nil && u.Scheme == "https" && u.Host != "" && errTime == nil && expires.After(r.now)
}

// list reads the decisions about n questions, in their order.
func (r *reader) list(data []byte, n int) ([]answer, error) {
	m, err := fields(data, "the response", "evaluations")
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := strictjson.Unmarshal(m["evaluations"], &list); err != nil || len(list) != n {
		return nil, fmt.Errorf("the response has not the decisions about %d evaluations", n)
	}
	answers := make([]answer, n)
	for i, one := range list {
		if answers[i], err = r.decision(one); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// opa reads a response of the Open Policy Agent: an undefined rule has no result.
func (r *reader) opa(data []byte, requestID string) (answer, error) {
	m, err := fields(data, "the response", "result")
	if err != nil {
		return answer{}, err
	}
	result, ok := m["result"]
	if !ok {
		return answer{}, errors.New("the response has no result: the policy is not there, or undefined")
	}
	about, err := fields(result, "the result", "request_id")
	if err != nil {
		return answer{}, err
	}
	if id, _ := about.text("request_id"); requestID != "" && id != requestID {
		return answer{}, errOtherRequest
	}
	return r.decision(result)
}

var errOtherRequest = errors.New("the response does not say that it answers this request")

// plainVersion reports whether a text can stand in a record beside others.
func plainVersion(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxVersion
}
