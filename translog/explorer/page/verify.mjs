// The whole check: a record, its receipt, the policy and the server's DID document.
import { Rejected, Undetermined } from "./text.mjs";
import { parsePolicy } from "./policy.mjs";
import { checkEntryBytes, parseProof, verifyReceipt } from "./proof.mjs";
import { parseEntry, verifyEntry } from "./entry.mjs";
import { documentKeys, keysOfDID } from "./did.mjs";
import { Refused } from "./forms.mjs";

// judge returns a verdict for what check comes to: { verdict, code, member, reason, value }. A fault of this page is
// no verdict about anything, and so undetermined.
export async function judge(check) {
  try {
    return { verdict: "accepted", code: "", member: "", reason: "", value: await check() };
  } catch (e) {
    if (e instanceof Rejected) return { verdict: "rejected", code: e.code, member: e.member, reason: e.message };
    if (e instanceof Undetermined) return { verdict: "undetermined", code: "", member: "", reason: e.message };
    return { verdict: "undetermined", code: "", member: "", reason: "this page failed: " + e };
  }
}

// checkLog says whether the entry is in a log of the policy (spec/receipt.md section 5).
export const checkLog = ({ entry, proof, policy }) => judge(async () => {
  need({ policy, entry, proof }, "policy", "entry", "proof");
  const trusted = await parsePolicy(policy);
  checkEntryBytes(entry);
  return { ...(await verifyReceipt(entry, parseProof(proof), trusted)), needsWitnesses: trusted.needsWitnesses };
});

// checkSignature says whether the server signed the record (spec/evidence.md section 3). parsed is the entry as far
// as it was read, signed or not.
export async function checkSignature({ entry, document }) {
  let parsed = null;
  const verdict = await judge(async () => {
    need({ entry }, "entry");
    parsed = parseEntry(entry);
    return { hash: await verifyEntry(parsed, keysFor(parsed.server, document)), server: parsed.server };
  });
  return { ...verdict, parsed };
}

function keysFor(server, document) {
  try {
    const keys = document ? documentKeys(document, server) : keysOfDID(server);
    if (keys === null) throw new Undetermined("there is no DID document of the server, which has its keys");
    return keys;
  } catch (e) {
    if (e instanceof Refused) throw new Rejected("REFUSED", "the DID document: " + e.message);
    throw e;
  }
}

const what = { policy: "policy or verifier key of the log", entry: "record", proof: "proof" };

function need(given, ...names) {
  for (const name of names) {
    if (!given[name]) throw new Undetermined("there is no " + what[name]);
  }
}

// examine gives both verdicts and the one of both: rejected if either is, and accepted if both are.
export async function examine(inputs) {
  const log = await checkLog(inputs), record = await checkSignature(inputs);
  const all = [log, record];
  const worst = all.find((v) => v.verdict === "rejected") ?? all.find((v) => v.verdict === "undetermined") ?? log;
  return { verdict: worst.verdict, code: worst.code, reason: worst.reason, log, record };
}

