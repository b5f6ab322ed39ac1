// Runs what the page decides with on Node: a list of cases on standard input, a list of verdicts on standard output.
// Octets are in base64 both ways.
import { readFileSync } from "node:fs";
import { hex } from "../page/text.mjs";
import { Refused, checkDID, splitDIDURL } from "../page/forms.mjs";
import { canonicalKey } from "../page/ed25519.mjs";
import { isKey, parsePolicy, policyOfKey } from "../page/policy.mjs";
import { verifyCheckpoint } from "../page/checkpoint.mjs";
import { leafHash, parseProof } from "../page/proof.mjs";
import { parseEntry } from "../page/entry.mjs";
import { documentMethods } from "../page/did.mjs";
import { checkLog, checkSignature, examine, judge } from "../page/verify.mjs";

const bytes = (text) => (text === undefined ? null : new Uint8Array(Buffer.from(text, "base64")));

const refusable = (check) => judge(() => {
  try {
    return check();
  } catch (e) {
    if (e instanceof Refused) return { refused: e.message };
    throw e;
  }
});

const ops = {
  policy: (c) => judge(async () => void (await parsePolicy(c.policy))),
  checkpoint: (c) => judge(async () => void (await verifyCheckpoint(c.checkpoint, await parsePolicy(c.policy)))),
  proof: (c) => judge(async () => void parseProof(c.proof)),
  log: (c) => checkLog({ ...c, entry: c.entry ?? new Uint8Array(0) }),
  parse: (c) => judge(() => void parseEntry(c.entry)),
  signature: async (c) => {
    const v = await checkSignature(c);
    if (v.verdict !== "accepted") return v;
    return { ...v, record: hex(v.value.hash), leaf: hex(await leafHash(c.entry)), unknown: v.parsed.unknown };
  },
  examine,
  key: (c) => examine({ ...c, policy: isKey(c.text) ? policyOfKey(c.text) : null }),
  did: (c) => refusable(() => void checkDID(c.text, canonicalKey)),
  did_url: (c) => refusable(() => splitDIDURL(c.text, canonicalKey)),
  document: (c) => refusable(() => ({
    methods: [...documentMethods(c.document, c.text)].map(([id, k]) => ({ id, kind: k.kind, key: hex(k.raw) })),
  })),
};

const inputs = ["entry", "proof", "policy", "document", "checkpoint"];
const out = [];
for (const c of JSON.parse(readFileSync(0, "utf8"))) {
  if (c.no_ed25519) Object.defineProperty(globalThis, "crypto", { value: withoutEd25519(c.no_ed25519) });
  for (const name of inputs) c[name] = bytes(c[name]);
  const { verdict, code, reason, member, record, leaf, unknown, value } = await ops[c.op](c);
  const text = typeof record === "string" ? record : undefined; // examine has a verdict of this name
  out.push({ verdict, code, reason, member, record: text, leaf, unknown, form: value?.form, refused: value?.refused, methods: value?.methods });
}
process.stdout.write(JSON.stringify(out));

// withoutEd25519 is the WebCrypto of a browser that has none of it, or an Ed25519 that says yes to everything.
function withoutEd25519(how) {
  if (how === "no subtle") return {};
  const digest = (...args) => original.digest(...args), original = globalThis.crypto.subtle;
  const importKey = async () => {
    if (how === "yes to all") return {};
    throw new DOMException("unrecognized name", "NotSupportedError");
  };
  return { subtle: { digest, importKey, verify: async () => true } };
}
