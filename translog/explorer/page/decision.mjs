// The rules for decisions (spec/evidence.md section 2.2).
import { isCode, isLevel, isSpan, isUUID4, isWord, maxTarget } from "./forms.mjs";
import { allows, longPlain, plain, reader, rules } from "./rules.mjs";

export function checkDecision(r) {
  for (const check of [checkCaller, checkChannel, checkAnswer, checkShadow, checkConstraints, checkRequest, checkParams]) {
    check(r, reader(r));
  }
}

function checkCaller(r, { text, has, fits }) {
  const auth = text("capiscio.auth.level");
  const own = ["capiscio.agent.did", "capiscio.badge.jti", "caller_issuer", "caller_level", "caller_ial"];
  if (auth === "anonymous") {
    return rules(...own.map((name) => [name, !has(name), "nothing: nothing about an anonymous caller was verified"]));
  }
  rules(
    ["capiscio.auth.level", auth === "badge", "badge or anonymous: no other way of authentication is verified"],
    ["capiscio.agent.did", has("capiscio.agent.did"), "the DID of the badge"],
    ["capiscio.badge.jti", isUUID4(text("capiscio.badge.jti")), "the badge's jti, a lower-case UUID of version 4"],
    ["caller_issuer", has("caller_issuer") && fits("caller_issuer", maxTarget), "the issuer of the badge"],
    ["caller_level", isLevel(text("caller_level")), '"0" to "4"'],
    ["caller_ial", ["0", "1"].includes(text("caller_ial")), '"0" or "1"'],
  );
}

function checkChannel(r, { has, orNone, fits }) {
  const scheme = has("channel_scheme");
  rules(
    ["channel_scheme", orNone("channel_scheme", isWord), "a word"],
    ["channel_subject", scheme === has("channel_subject"), "whom the channel authenticated, with its scheme"],
    ["channel_subject", fits("channel_subject", maxTarget), longPlain],
    ["channel_certificate", scheme || !has("channel_certificate"), "no certificate of nobody"],
  );
}

const isDecisionKind = (kind) => ["allow", "allow_with_constraints", "require_approval", "deny"].includes(kind);

function checkAnswer(r, { text, has, orNone, fits }) {
  const kind = text("decision_kind");
  rules(
    ["decision_kind", isDecisionKind(kind), "allow, allow_with_constraints, require_approval or deny"],
    ["rule", fits("rule"), plain],
    ["capiscio.policy_version", has("capiscio.policy_version") && fits("capiscio.policy_version"), "the digest of the policy"],
    ["min_level", orNone("min_level", isLevel), '"0" to "4"'],
    ["capiscio.deny_reason", allows(kind) !== has("capiscio.deny_reason"), "a code unless the decision allows"],
    ["capiscio.deny_reason", orNone("capiscio.deny_reason", isCode), "a code"],
    ["deny_cause", orNone("deny_cause", isCode), "a code"],
    ["deny_cause", !has("deny_cause") || has("capiscio.deny_reason"), "no cause without a reason"],
  );
}

function checkShadow(r, { text, has, orNone, fits }) {
  const tried = has("shadow_kind"), refuses = tried && !allows(text("shadow_kind"));
  rules(
    ["shadow_kind", orNone("shadow_kind", isDecisionKind), "allow, allow_with_constraints, require_approval or deny"],
    ["shadow_rule", tried === has("shadow_rule"), "the rule that is tried out, with what it would have decided"],
    ["shadow_rule", fits("shadow_rule"), plain],
    ["shadow_reason", refuses === has("shadow_reason"), "a code exactly where the rule would have refused"],
    ["shadow_reason", orNone("shadow_reason", isCode), "a code"],
  );
}

function checkConstraints(r, { text, fits }) {
  const any = [...r.values.keys()].some((name) => name.startsWith("constraint_"));
  rules(
    ["decision_kind", text("decision_kind") !== "allow" || !any, "allow_with_constraints where there are constraints"],
    ["constraint_network_allowlist", fits("constraint_network_allowlist", maxTarget), longPlain],
  );
}

function checkRequest(r, { text, has, orNone, fits }) {
  const fit = (...names) => names.map((name) => [name, fits(name), plain]);
  rules(
    ["method", has("method") && fits("method"), plain],
    ["capability", orNone("capability", isWord), "a word"],
    ["capiscio.target", fits("capiscio.target", maxTarget), longPlain],
    ...fit("request_id", "capiscio.txn_id", "capiscio.hop.hop_id"),
    ["capiscio.hop.hop_id", !has("capiscio.hop.hop_id") || has("proof_hash"), "no hop without a call proof"],
    ["capiscio.hop.parent_hash", !has("capiscio.hop.parent_hash") || has("capiscio.hop.hop_id"), "no parent without a hop"],
    ...fit("trace_id"),
    ["span_id", orNone("span_id", isSpan), "16 hexadecimal digits in lower case"],
    ["span_id", text("span_id") !== "0".repeat(16), "an id that is not all zero"],
    ["span_id", !has("span_id") || has("trace_id"), "no span of no trace"],
    ["actor", orNone("actor", (a) => ["human", "supervised_ai", "automation", "service_account"].includes(a)), "one of the four classes"],
    ...fit("tenant", "claimed_actor", "claimed_policy", "claimed_mode", "claimed_approval"),
    ["transport", orNone("transport", isWord), "a word"],
    ["list_shown", r.values.has("list_shown") === r.values.has("list_withheld"), "both counts of a list, or neither"],
  );
}

function checkParams(r, { text, has }) {
  rules(
    ["badge_hash", text("capiscio.auth.level") !== "badge" || has("badge_hash"), "the hash of the badge that was verified"],
    ["params_commitment", has("params_commitment"), "a commitment, to no parameters if there were none"],
    ["params_form", ["tree", "octets"].includes(text("params_form")), "tree or octets"],
    ["capiscio.tool.params_hash", text("params_form") === "tree" || !has("capiscio.tool.params_hash"), "no hash of what has no canonical form"],
  );
}
