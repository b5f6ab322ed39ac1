// The members of a record, in the order of RFC 8785: name, the kinds it stands in by their letters, and its form
// (spec/evidence.md section 2).
const groups = Array.from({ length: 16 }, (_, n) => `group_${String(n).padStart(2, "0")} R group`);

const table = `
actor D text
badge_hash D hash
bearer_unsafe DCR true
caller_ial D text
caller_issuer D text
caller_level D text
capability D text
capiscio.agent.did D did
capiscio.auth.level D text
capiscio.badge.jti D text
capiscio.decision D derived
capiscio.deny_reason D text
capiscio.hop.hop_id D text
capiscio.hop.parent_hash D hash
capiscio.policy_version DC text
capiscio.target D text
capiscio.tool.params_hash D hash
capiscio.txn_id D text
change C text
channel_certificate D hash
channel_scheme D text
channel_subject D text
claimed_actor D text
claimed_approval D text
claimed_mode D text
claimed_policy D text
constraint_cosigned_within_sec D number
constraint_included_within_sec D number
constraint_max_concurrent D number
constraint_max_result_bytes D number
constraint_max_retries D numberOrNone
constraint_max_runtime_sec D number
constraint_network_allowlist D textOrNone
constraint_rate_per_minute D number
count R count
decision_id O text
decision_kind D text
decision_seq O count
deny_cause D text
duration_ns O duration
egress_enforced_by C text
epoch GDOHCR count
error_class O text
event.name D derived
from R time
${groups.join("\n")}
id GDOHCR text
kind GDOHCR derived
list_shown D numberOrNone
list_withheld D numberOrNone
log_form G text
log_origin G text
method D text
min_level D text
outcome O text
params_commitment D hash
params_form D text
prev DOHCR hash
previous_policy_version C text
proof_hash D hash
request_id D text
result_commitment O hash
result_size O size
rule D text
seq GDOHCR count
server GDOHCR did
shadow DC true
shadow_kind D text
shadow_reason D text
shadow_rule D text
software G text
span_id D text
stream GDOHCR stream
tenant D text
time GDOHCR time
to R time
trace_id D text
transport D text
v GDOHCR version`;

export const memberTable = table.trim().split("\n").map((line) => {
  const [name, kinds, form] = line.split(" ");
  return { name, kinds, form };
});

export const memberByName = new Map(memberTable.map((m) => [m.name, m]));

export const kindLetters = new Map([
  ["genesis", "G"], ["decision", "D"], ["outcome", "O"], ["heartbeat", "H"], ["change", "C"], ["refusals", "R"],
]);
