// The checkpoint: what a log signs and witnesses cosign (spec/receipt.md sections 3 and 5).
import { Rejected, base64, concat, fromUTF8, hex, quote, sameBytes, sha256, strictBase64, toUTF8 } from "./text.mjs";
import { ed25519Verify } from "./ed25519.mjs";
import { keyID, typeWitness, validName } from "./policy.mjs";

const maxCheckpointBytes = 64 << 10, maxSignatures = 100;
export const maxTreeSize = (1n << 63n) - 1n;

const malformedCheckpoint = (reason) => new Rejected("LOG_CHECKPOINT_MALFORMED", reason);

// verifyCheckpoint takes steps 4 to 10 of spec/receipt.md section 5.
export async function verifyCheckpoint(bytes, policy) {
  const { text, lines } = readNote(bytes);
  const origin = text.slice(0, text.indexOf("\n"));
  const own = policy.logs.get(origin); // only says which keys to try
  if (own === undefined) throw new Rejected("LOG_ORIGIN_UNKNOWN", "the policy names no log " + quote(origin, 80));
  const signatures = await verifySignatures(text, lines, own, policy.witnesses);
  if (!signatures.every((s) => s.strict)) throw malformedCheckpoint("a signature is not in its one encoding");
  const tree = await readTree(text);
  return { origin, ...tree, cosignatures: countWitnesses(signatures, policy) };
}

// readNote takes a signed note apart. Nothing is believed yet.
function readNote(bytes) {
  if (bytes.length > maxCheckpointBytes) throw malformedCheckpoint("the checkpoint has more than 65536 bytes");
  const note = fromUTF8(bytes);
  if (note === null || /(?!\n)\p{Cc}/u.test(note)) throw malformedCheckpoint("not UTF-8, or a control character");
  const split = note.lastIndexOf("\n\n");
  const below = note.slice(split + 2);
  if (split < 0 || !below.endsWith("\n")) throw malformedCheckpoint("not a signed note");
  const lines = below.slice(0, -1).split("\n").map(readSignature);
  if (lines.length > maxSignatures) throw malformedCheckpoint("more than 100 signatures");
  return { text: note.slice(0, split + 1), lines };
}

function readSignature(line) {
  const [name, encoded] = /^\u2014 ([^ ]*) (.+)$/su.exec(line)?.slice(1) ?? [""];
  const read = encoded === undefined ? null : base64(encoded);
  if (read === null || read.bytes.length < 5 || !validName(name)) throw malformedCheckpoint("a line that is no signature");
  return {
    line, name, id: keyID(name, hex(read.bytes.subarray(0, 4))), strict: !read.slack, signature: read.bytes.subarray(4),
  };
}

// verifySignatures returns the lines of known keys, all of which verify. The first line of each key comes before those
// that repeat the key, so that what is refused first does not depend on how they are mixed.
async function verifySignatures(text, lines, own, witnesses) {
  const keys = new Map();
  for (const k of [...own, ...witnesses]) {
    if (keys.has(k.id)) throw new Rejected("LOG_CHECKPOINT_SIGNATURE_INVALID", "two keys of the policy have one key ID");
    keys.set(k.id, k);
  }
  const known = lines.filter((s) => keys.has(s.id)).map((s) => ({ ...s, key: keys.get(s.id) }));
  const first = known.filter((s, i) => known.findIndex((o) => o.id === s.id) === i);
  for (const s of first) await verifyLine(text, s);
  if (!first.some((s) => own.includes(s.key))) {
    throw new Rejected("LOG_CHECKPOINT_SIGNATURE_INVALID", "no key of this log that the policy names has signed");
  }
  const repeated = known.filter((s) => !first.some((f) => f.line === s.line));
  for (const s of repeated) await verifyLine(text, s);
  return [...first, ...repeated];
}

async function verifyLine(text, s) {
  const witness = s.key.type === typeWitness;
  if (!(await (witness ? verifyCosignature : verifyOwn)(text, s))) {
    const code = witness ? "LOG_COSIGNATURE_INVALID" : "LOG_CHECKPOINT_SIGNATURE_INVALID";
    throw new Rejected(code, "a signature is not that of the key " + quote(s.id, 120));
  }
}

async function verifyOwn(text, s) {
  return s.signature.length === 64 && ed25519Verify(s.key.key, toUTF8(text), s.signature);
}

async function verifyCosignature(text, s) {
  if (s.signature.length !== 72 || text.split("\n").length < 3) return false;
  const head = toUTF8("cosignature/v1\ntime " + timeOf(s) + "\n");
  return ed25519Verify(s.key.key, concat(head, toUTF8(text)), s.signature.subarray(8));
}

const timeOf = (s) => BigInt("0x" + hex(s.signature.subarray(0, 8)));

// readTree reads origin, size and root, each in its one encoding.
async function readTree(text) {
  const [, origin, size, root, extension] = /^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$/s.exec(text) ?? [];
  const hash = strictBase64(root ?? "?");
  if (!origin || hash?.length !== 32 || !/^(?:0|[1-9][0-9]{0,18})$/.test(size)) {
    throw malformedCheckpoint("no origin, or a size or a root that is not in its one encoding");
  }
  if (extension.startsWith("\n") || extension.includes("\n\n")) throw malformedCheckpoint("an extension line is empty");
  if (BigInt(size) > maxTreeSize) throw malformedCheckpoint("the size is over 2^63-1");
  if (size === "0" && !sameBytes(hash, await sha256())) throw malformedCheckpoint("the root is not that of an empty tree");
  return { size: BigInt(size), root: hash };
}

// countWitnesses returns name and time of each witness once, if they are a quorum.
function countWitnesses(signatures, policy) {
  const seen = new Map();
  for (const s of signatures) {
    if (s.key.type !== typeWitness) continue;
    const time = timeOf(s);
    if (time > maxTreeSize) throw new Rejected("LOG_COSIGNATURE_INVALID", "the time of a cosignature is beyond 2^63-1");
    if (!seen.has(s.key.witness)) seen.set(s.key.witness, time);
  }
  if (!policy.met(new Set(seen.keys()))) {
    throw new Rejected("LOG_WITNESS_QUORUM", seen.size + " known witnesses cosigned, which is no quorum");
  }
  return [...seen].map(([witness, time]) => ({ witness, time }));
}
