package evidence

import (
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
)

// refusals are records of numbers that do not say what they count, or add up wrongly.
func refusals(w *world) []*Vector {
	good := record(w.refusals(1))
	invalid := func(name, text, member string, value any, defect string) *Vector {
		return w.bad("refusals-"+name, evidence.CodeRecordInvalid, member, defect, with(text, member, value))
	}
	// group has the last group replaced, which counts 6.
	group := func(name, text, defect string) *Vector { return invalid(name, good, "group_03", text, defect) }
	zero := with(with(good, "group_03", "0 badge OTHER - - *"), "count", 1028)
	swapped := with(with(good, "group_01", "7 badge CALL_PROOF_REPLAYED - - a method"), "group_02", "21 anonymous TOOL_AUTH_MISSING - prompt *")
	return []*Vector{
		invalid("from-missing", good, "from", nil, "from is missing"),
		invalid("to-missing", good, "to", nil, "to is missing"),
		invalid("to-before-from", good, "to", "2026-09-21T14:13:20.299999999Z", "to is a nanosecond before from"),
		invalid("from-seconds", good, "from", "2026-09-21T14:13:20Z", "from has no nanoseconds"),
		invalid("count-missing", good, "count", nil, "count is missing"),
		invalid("count-less", good, "count", 1033, "count is less than the sum of the groups"),
		w.bad("refusals-none", evidence.CodeRecordInvalid, "group_00", "no group",
			with(with(with(with(with(good, "group_00", nil), "group_01", nil), "group_02", nil), "group_03", nil), "count", 0)),
		w.bad("refusals-gap", evidence.CodeRecordInvalid, "group_02", "group_02 is left out", with(with(good, "group_02", nil), "count", 1027)),
		w.bad("refusals-order", evidence.CodeRecordInvalid, "group_02", "two groups in the wrong order", swapped),
		w.bad("refusals-twice", evidence.CodeRecordInvalid, "group_03", "a group twice", with(good, "group_03", "6 badge CALL_PROOF_REPLAYED - - a method 日本")),
		w.bad("refusals-count-zero", evidence.CodeRecordInvalid, "group_03", "a group that counts nothing", zero),
		group("count-sign", "+6 badge OTHER - - *", "a count with a sign"),
		group("count-leading-zero", "06 badge OTHER - - *", "a count with a leading zero"),
		group("auth", "6 apikey OTHER - - *", "callers that are said to have an API key, which nothing verifies"),
		group("reason-none", "6 badge - - - *", "a group without a reason"),
		group("cause-empty", "6 badge OTHER  - *", "a cause that is empty instead of -"),
		group("cause-prose", "6 badge OTHER because - *", "a cause that is not a code"),
		group("capability-prose", "6 badge OTHER - 1 *", "a capability that is not a word"),
		group("method-none", "6 badge OTHER - - ", "a group without a method"),
		group("method-long", "6 badge OTHER - - "+strings.Repeat("m", 257), "a group with a method of more than 256 bytes that was not replaced by its hash"),
		group("short", "6 badge OTHER - -", "a group of five parts"),
		invalid("group-number", good, "group_03", 6, "a group that is a number"),
		invalid("target", good, "capiscio.target", "read_file", "a target, which is of one decision"),
		invalid("reason", good, "capiscio.deny_reason", "TOOL_AUTH_MISSING", "the reason of one decision"),
	}
}
