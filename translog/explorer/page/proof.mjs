// The receipt: a C2SP tlog-proof (spec/receipt.md sections 2 and 5).
import { Rejected, concat, fromOctets, octets, sameBytes, sha256, strictBase64, toUTF8 } from "./text.mjs";
import { verifyCheckpoint } from "./checkpoint.mjs";

const header = "c2sp.org/tlog-proof@v1";
const maxProofBytes = 128 << 10, maxLineBytes = 65535, maxHashes = 63, maxLeafBytes = 65535;

const malformedProof = (reason) => new Rejected("LOG_PROOF_MALFORMED", reason);

// parseProof reads a receipt in its one encoding.
export function parseProof(bytes) {
  if (bytes.length > maxProofBytes) throw malformedProof("the proof has more than 131072 bytes");
  const lines = octets(bytes).split("\n");
  if (lines.pop() !== "" || lines.some((l) => l.endsWith("\r") || l.length > maxLineBytes)) {
    throw malformedProof("a line ends in something else than a line feed, or is too long");
  }
  if (lines.shift() !== header) throw malformedProof("it does not begin with " + header);
  if (lines[0]?.startsWith("extra ") && !strictBase64(lines.shift().slice(6))?.length) {
    throw malformedProof("the extra line is empty, or not in its one encoding");
  }
  const index = /^index (0|[1-9][0-9]{0,19})$/.exec(lines.shift() ?? "")?.[1];
  if (index === undefined || BigInt(index) >= 1n << 64n) throw malformedProof("no index in its one encoding");
  const hashes = [];
  for (;;) {
    const line = lines.shift();
    if (line === "") break;
    const hash = line === undefined ? null : strictBase64(line);
    if (hash?.length !== 32) throw malformedProof("a line that is neither 32 bytes of base64 nor the empty line");
    if (hashes.push(hash) > maxHashes) throw malformedProof("more than 63 hashes");
  }
  if (lines.length === 0) throw malformedProof("no checkpoint follows");
  return { index: BigInt(index), hashes, checkpoint: fromOctets(lines.join("\n") + "\n") };
}

export const leafHash = (entry) => sha256([0], entry);

export function checkEntryBytes(entry) {
  if (entry.length === 0 || entry.length > maxLeafBytes) {
    throw new Rejected("LOG_ENTRY_INVALID", "an entry has 1 to 65535 bytes, not " + entry.length);
  }
}

// verifyInclusion takes steps 2 and 4 to 11 for a receipt that was read.
export async function verifyInclusion(entry, proof, policy) {
  checkEntryBytes(entry);
  const checkpoint = await verifyCheckpoint(proof.checkpoint, policy);
  const leaf = await leafHash(entry);
  if (proof.index >= checkpoint.size) {
    throw new Rejected("LOG_INCLUSION_INVALID", "index " + proof.index + " is beyond the tree of " + checkpoint.size);
  }
  const root = await rootFrom(proof, checkpoint.size, leaf);
  if (root === null) throw new Rejected("LOG_INCLUSION_INVALID", "the number of hashes does not fit index and size");
  if (!sameBytes(root, checkpoint.root)) throw new Rejected("LOG_INCLUSION_INVALID", "the proof does not lead to the root");
  return { index: proof.index, leaf, checkpoint };
}

// digestLeaf is what a log of digests has of an entry (spec/evidence.md section 3.1).
export const digestLeaf = async (entry) => concat(toUTF8("touchmark/evidence-digest/v1\n"), await sha256(entry));

// verifyReceipt takes the steps for the entry, and if the last one alone fails, for its digest (spec/receipt.md
// section 5.1).
export async function verifyReceipt(entry, proof, policy) {
  try {
    return { ...(await verifyInclusion(entry, proof, policy)), form: "record" };
  } catch (e) {
    if (!(e instanceof Rejected) || e.code !== "LOG_INCLUSION_INVALID") throw e;
    try {
      return { ...(await verifyInclusion(await digestLeaf(entry), proof, policy)), form: "digest" };
    } catch {
      throw e;
    }
  }
}

// rootFrom is RFC 9162 section 2.1.3.2, and null where the number of hashes is wrong.
async function rootFrom(proof, size, leaf) {
  let fn = proof.index, sn = size - 1n, r = leaf;
  for (const p of proof.hashes) {
    if (sn === 0n) return null;
    if ((fn & 1n) === 1n || fn === sn) {
      r = await sha256([1], p, r);
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      r = await sha256([1], r, p);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n ? r : null;
}
