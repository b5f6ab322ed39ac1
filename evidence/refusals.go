package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxRefusalGroups is how many groups a record of refusals may have.
const MaxRefusalGroups = 16

// What a group says of refusals that it does not tell apart.
const (
	RefusalOther     = "OTHER" // as Reason: different ones
	RefusalAnyMethod = "*"     // as Method: different ones
)

// Refusals counts refused attempts that have no record of their own, because there were too many. Nothing of them
// ran. Each attempt is counted once.
type Refusals struct {
	From, To     time.Time // of the first and of the last attempt, by the clock of the guard
	BearerUnsafe bool      // badges were accepted without a call proof

	// Groups are the kinds of refusal. The ledger orders them, and puts together what a record cannot tell apart: what
	// is no code counts as [RefusalOther] or as none, what is no word as none.
	Groups []RefusalGroup

	Count uint64 // of all groups together; filled in by the ledger from the [Draft]
}

// A RefusalGroup is how many attempts were refused in one way.
type RefusalGroup struct {
	Count      uint64 // from 1
	Auth       AuthLevel
	Reason     string // code, or [RefusalOther]
	Cause      string // code; empty for none, or for different ones
	Capability string // "tool", "resource", "prompt"; empty for none, or for different ones
	Method     string // of the protocol, or [RefusalAnyMethod]; recorded as its hash like other texts of a caller
}

// maxGroupText is more than the text of a group takes.
const maxGroupText = 15 + maxText + 4*(maxToken+1)

// String returns the group as a record has it: count, auth, reason, cause, capability, method.
func (g *RefusalGroup) String() string { return strconv.FormatUint(g.Count, 10) + " " + g.key() }

// key is what tells groups apart, and orders them.
func (g *RefusalGroup) key() string {
	return strings.Join([]string{string(g.Auth), g.Reason, cmp.Or(g.Cause, "-"), cmp.Or(g.Capability, "-"), g.Method}, " ")
}

// parseGroup reads what String wrote. What else it accepts is not written again as it was, or refused by check.
func parseGroup(text string) (g RefusalGroup, ok bool) {
	parts := strings.SplitN(text, " ", 6)
	if len(parts) != 6 || len(text) > maxGroupText {
		return g, false
	}
	for _, part := range []*string{&parts[3], &parts[4]} {
		switch *part {
		case "-":
			*part = ""
		case "":
			return g, false
		}
	}
	count, err := strconv.ParseUint(parts[0], 10, 64)
	g = RefusalGroup{count, AuthLevel(parts[1]), parts[2], parts[3], parts[4], parts[5]}
	return g, err == nil && g.String() == text
}

// refusals makes the groups fit for a record, puts together those that became alike, and puts them in order.
func (d *Draft) refusals() *Refusals {
	out := *d.Refusals
	out.Groups, out.Count = nil, 0
	for _, g := range d.Refusals.Groups {
		g.fit()
		same := func(o RefusalGroup) bool { return o.key() == g.key() }
		if i := slices.IndexFunc(out.Groups, same); i >= 0 {
			out.Groups[i].Count += g.Count
		} else {
			out.Groups = append(out.Groups, g)
		}
		out.Count += g.Count
	}
	slices.SortFunc(out.Groups, func(a, b RefusalGroup) int { return cmp.Compare(a.key(), b.key()) })
	return &out
}

// fit replaces what no record can hold. One odd group must not keep all others out of the records.
func (g *RefusalGroup) fit() {
	g.Method = cmp.Or(recordText(g.Method, maxText), RefusalAnyMethod)
	if !isCode(g.Reason) {
		g.Reason = RefusalOther
	}
	if !isCode(g.Cause) {
		g.Cause = ""
	}
	if !isToken(g.Capability) {
		g.Capability = ""
	}
}

func (r *Refusals) check() error {
	var sum uint64
	for i := range r.Groups {
		member := groupName(i)
		if i >= MaxRefusalGroups {
			return invalid(member, "want at most %d groups", MaxRefusalGroups)
		}
		if err := r.Groups[i].check(member); err != nil {
			return err
		}
		if i > 0 && r.Groups[i-1].key() >= r.Groups[i].key() {
			return invalid(member, "want the groups in their order, and each once")
		}
		sum += r.Groups[i].Count
	}
	return firstBroken(
		rule{"from", recordableTime(r.From), "a time"},
		rule{"to", recordableTime(r.To), "a time"},
		rule{"to", !r.To.Before(r.From), "a time that is not before the first attempt"},
		rule{groupName(0), len(r.Groups) > 0, "at least one group"},
		rule{"count", r.Count == sum && sum <= maxNumber, "the sum of the groups, of at most 15 digits"},
	)
}

func (g *RefusalGroup) check(member string) error {
	return firstBroken(
		rule{member, g.Count >= 1 && g.Count <= maxNumber, "a count from 1"},
		rule{member, g.Auth == AuthBadge || g.Auth == AuthAnonymous, "badge or anonymous"},
		rule{member, isCode(g.Reason), "a code such as TOOL_AUTH_MISSING"},
		rule{member, g.Cause == "" || isCode(g.Cause), "a code such as BADGE_EXPIRED, or -"},
		rule{member, g.Capability == "" || isToken(g.Capability), "a word, or -"},
		rule{member, g.Method != "", "a method"},
		rule{member, textAllowed(g.Method, maxText), "plain text of at most 256 bytes, or a hash"},
	)
}

// A groupPlace is the place of the member of one group. Groups are there from the first one on.
type groupPlace struct {
	in *Refusals
	at int
}

func groupAt(n int) func(*Record) any {
	return func(r *Record) any { return groupPlace{r.Refusals, n} }
}

func groupName(n int) string { return fmt.Sprintf("group_%02d", n) }

func (p groupPlace) present() bool { return p.at < len(p.in.Groups) }

func (p groupPlace) set(text string) bool {
	g, ok := parseGroup(text)
	for len(p.in.Groups) <= p.at {
		p.in.Groups = append(p.in.Groups, RefusalGroup{}) // what stays empty is missed by checkSeen
	}
	p.in.Groups[p.at] = g
	return ok
}
