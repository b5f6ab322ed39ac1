// The rules for a record (spec/evidence.md section 2), in the order in which a reader goes through them.
import { Rejected } from "./text.mjs";
import { canonical, textOf, whole } from "./json.mjs";
import { canonicalKey } from "./ed25519.mjs";
import { kindLetters, memberByName, memberTable } from "./members.mjs";
import {
  Refused, before, checkDID, isCode, isStream, isTime, isUUID4, isWord, maxNumber, maxText, parseGroup, parseHash,
  recordableTime, textAllowed,
} from "./forms.mjs";
import { allows, invalid, nonZero, plain, reader, rules } from "./rules.mjs";
import { checkDecision } from "./decision.mjs";

const maxUnknown = 32;

const malformedEntry = (reason) => new Rejected("EVIDENCE_MALFORMED", reason);

// checkRecord returns the values of a record by name, and the names of members that it does not know.
export function checkRecord(v) {
  if (v.kind !== "object") throw malformedEntry("the record is not a JSON object");
  if (whole(v.members.get("v")) !== 1) throw new Rejected("EVIDENCE_VERSION_UNKNOWN", "a record of another version than 1");
  const kind = textOf(v.members.get("kind")) ?? "";
  if (!kindLetters.has(kind)) throw new Rejected("EVIDENCE_KIND_UNKNOWN", "a record of a kind that this page does not know");
  const r = { kind, letter: kindLetters.get(kind), values: new Map(), groups: [], unknown: [] };
  for (const [name, value] of v.members) readMember(r, name, value);
  checkSeen(r, v.members);
  checkDerived(r, v.members);
  checkHeader(r);
  checkUnknown(r);
  checkKind[kind](r);
  if (canonical(v) !== v.text) throw malformedEntry("the record is not in canonical form (RFC 8785)");
  return r;
}

function readMember(r, name, value) {
  const m = memberByName.get(name);
  if (m === undefined) return keepUnknown(r, name, value);
  if (!m.kinds.includes(r.letter)) throw invalid(name, "does not belong into a record of this kind");
  const read = readValue(m.form, value);
  if (read === null) throw invalid(name, "the value is not of the member's form");
  r.values.set(name, read);
  if (m.form === "group") r.groups[Number(name.slice(-2))] = read;
}

function keepUnknown(r, name, value) {
  if (!/^[a-z][a-z0-9_.]{0,63}$/.test(name)) throw invalid(name, "not a name that a member may have");
  if (r.unknown.length === maxUnknown) throw invalid(name, "more than 32 unknown members");
  if (value.kind !== "string" && whole(value) === null && value.text !== "true") {
    throw invalid(name, "an unknown member that is neither a string nor a whole number nor true");
  }
  if (canonical(value) !== value.text) throw malformedEntry("the record is not in canonical form (RFC 8785)");
  r.unknown.push(name);
}

const numberForms = ["number", "numberOrNone", "count", "duration", "size"];
const zeroHash = "sha256:" + "A".repeat(43);
const textForms = ["text", "textOrNone", "derived"];

// readValue returns the value, or null where it is not of the form.
function readValue(form, v) {
  const text = textOf(v);
  if (text === null) {
    if (v.text === "true") return form === "true" ? true : null;
    const n = whole(v);
    return numberForms.includes(form) || (form === "version" && n === 1) ? n : null;
  }
  if (textForms.includes(form)) return text;
  switch (form) {
    case "hash": return parseHash(text) === null ? null : text === zeroHash ? "" : text; // which stands for none
    case "did": return isDID(text) ? text : null;
    case "stream": return isStream(text) ? text : null;
    case "time": return isTime(text) ? text : null;
    case "group": return parseGroup(text);
  }
  return null;
}

function isDID(text) {
  try {
    checkDID(text, canonicalKey);
    return true;
  } catch (e) {
    if (e instanceof Refused) return false;
    throw e;
  }
}

// mustStand reports whether the member is one that is written, by its value and those of others.
function mustStand(r, m) {
  const value = r.values.get(m.name);
  switch (m.form) {
    case "text": case "hash": case "true": case "number": case "did":
      return nonZero(value);
    case "textOrNone": case "numberOrNone":
      return value !== undefined;
    case "group":
      return Number(m.name.slice(-2)) < r.groups.length;
    case "duration":
      return r.values.get("outcome") !== "unknown" || nonZero(value);
    case "size":
      return nonZero(r.values.get("result_commitment")) || nonZero(value);
  }
  return true;
}

function checkSeen(r, seen) {
  for (const m of memberTable) {
    if (!m.kinds.includes(r.letter) || seen.has(m.name) === mustStand(r, m)) continue;
    throw invalid(m.name, seen.has(m.name) ? "has the value that is expressed by leaving the member out" : "missing");
  }
}

function checkDerived(r, seen) {
  const want = {
    kind: r.kind, "event.name": "capiscio.tool_invocation",
    "capiscio.decision": allows(r.values.get("decision_kind")) ? "ALLOW" : "DENY",
  };
  for (const name of seen.keys()) {
    if (Object.hasOwn(want, name) && r.values.get(name) !== want[name]) throw invalid(name, "is not what the other members ask for");
  }
}

function checkHeader(r) {
  const { text, has, number } = reader(r), genesis = r.kind === "genesis";
  rules(
    ["id", isUUID4(text("id")), "a lower-case UUID of version 4"],
    ["epoch", number("epoch") >= 1, "a number from 1"],
    ["seq", genesis === (number("seq") === 0), "0 in the genesis record and in no other"],
    ["prev", genesis !== has("prev"), "the hash of the record before, absent in the genesis record"],
    ["time", recordableTime(text("time")), "a time"],
    ["server", has("server"), "the DID of the server"],
  );
}

function checkUnknown(r) {
  r.unknown.forEach((name, i) => {
    if (i > 0 && r.unknown[i - 1] >= name) throw invalid(name, "want unknown members in the order of their names");
  });
}

const checkKind = {
  heartbeat() {},
  genesis(r) {
    const { fits, text } = reader(r);
    rules(["log_form", text("log_form") === "" || text("log_form") === "digest", '"digest", or nothing'],
      ["log_origin", fits("log_origin"), plain], ["software", fits("software"), plain]);
  },
  decision: checkDecision,
  outcome(r) {
    const { text, has, orNone, number } = reader(r), status = text("outcome"), unknown = status === "unknown";
    rules(
      ["outcome", ["ok", "error", "input_required", "unknown"].includes(status), "ok, error, input_required or unknown"],
      ["decision_id", isUUID4(text("decision_id")), "the id of the decision"],
      ["decision_seq", number("decision_seq") >= 1 && number("decision_seq") < number("seq"), "the number of an earlier record"],
      ["error_class", (status === "error") === has("error_class"), "a word exactly when the outcome is error"],
      ["error_class", orNone("error_class", isWord), "a word"],
      ["duration_ns", !unknown || !has("duration_ns"), "no duration of what was not seen to end"],
      ["result_commitment", !unknown || !has("result_commitment"), "no result of what was not seen to end"],
      ["result_size", !has("result_size") || has("result_commitment"), "no size without a result"],
    );
  },
  change(r) {
    const { text, has, fits } = reader(r);
    rules(
      ["change", ["policy", "configuration", "key"].includes(text("change")), "policy, configuration or key"],
      ["capiscio.policy_version", has("capiscio.policy_version") && fits("capiscio.policy_version"), "the digest of the policy"],
      ["previous_policy_version", fits("previous_policy_version"), "the digest of a policy"],
      ["egress_enforced_by", fits("egress_enforced_by"), "a name"],
    );
  },
  refusals: checkRefusals,
};

function checkRefusals(r) {
  const { text, number } = reader(r);
  let sum = 0;
  r.groups.forEach((g, i) => {
    const name = "group_" + String(i).padStart(2, "0");
    rules(
      [name, g.count >= 1, "a count from 1"],
      [name, ["badge", "anonymous"].includes(g.auth), "badge or anonymous"],
      [name, isCode(g.reason), "a code"],
      [name, g.cause === "" || isCode(g.cause), "a code, or -"],
      [name, g.capability === "" || isWord(g.capability), "a word, or -"],
      [name, g.method !== "" && textAllowed(g.method, maxText), plain],
      [name, i === 0 || before(r.groups[i - 1].key, g.key), "the groups in their order, and each once"],
    );
    sum += g.count;
  });
  rules(
    ["from", recordableTime(text("from")), "a time"],
    ["to", recordableTime(text("to")), "a time"],
    ["to", text("to") >= text("from"), "a time that is not before the first attempt"],
    ["group_00", r.groups.length > 0, "at least one group"],
    ["count", number("count") === sum && sum <= maxNumber, "the sum of the groups, of at most 15 digits"],
  );
}
