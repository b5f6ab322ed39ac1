// An entry: a record and the signature of its server (spec/evidence.md section 3).
import { Rejected, quote, sha256, strictBase64URL, toUTF8 } from "./text.mjs";
import { canonicalString, parseJSON, textOf } from "./json.mjs";
import { canonicalKey, ed25519Verify } from "./ed25519.mjs";
import { Refused, splitDIDURL } from "./forms.mjs";
import { checkRecord } from "./record.mjs";

const contextLine = "touchmark/evidence/v1\n";
const maxEntryBytes = 60 << 10;

const malformed = (reason) => new Rejected("EVIDENCE_MALFORMED", reason);

// parseEntry takes steps 1 to 5 of spec/evidence.md section 3.
export function parseEntry(bytes) {
  if (bytes.length > maxEntryBytes) throw new Rejected("EVIDENCE_TOO_LARGE", "an entry has at most 61440 bytes, not " + bytes.length);
  const v = parseJSON(bytes);
  if (v === null) throw malformed("not JSON: one value in UTF-8, and no member given twice");
  for (const name of v.members?.keys() ?? []) {
    if (!["kid", "record", "sig"].includes(name)) throw malformed("a member beside kid, record and sig");
  }
  const kid = textOf(v.members?.get("kid")), record = v.members?.get("record"), sig = textOf(v.members?.get("sig"));
  const signature = strictBase64URL(sig ?? "");
  if (!kid || record === undefined || signature?.length !== 64) throw malformed("want a kid, a record and a signature of 64 bytes in strict base64url");
  const text = '{"kid":' + canonicalString(kid) + ',"record":' + record.text + ',"sig":"' + sig + '"}';
  if (v.text !== text || toUTF8(text).length !== bytes.length) throw malformed("the entry is not in canonical form (RFC 8785)");
  const checked = checkRecord(record);
  const server = checked.values.get("server");
  if (serverOf(kid) !== server) throw new Rejected("EVIDENCE_KEY_MISMATCH", "kid is not the DID URL of a key of the server");
  return { kid, server, record, unknown: checked.unknown, message: toUTF8(contextLine + record.text), signature };
}

function serverOf(kid) {
  try {
    return splitDIDURL(kid, canonicalKey).did;
  } catch (e) {
    if (e instanceof Refused) return null;
    throw e;
  }
}

// verifyEntry takes steps 6 and 7, with the keys of the server by kid. It returns the hash that the next record names.
export async function verifyEntry(entry, keys) {
  const key = keys.get(entry.kid);
  if (key === undefined) throw new Rejected("EVIDENCE_KEY_UNKNOWN", "no key " + quote(entry.kid, 200) + " among the " + keys.size + " given");
  if (!(await ed25519Verify(key, entry.message, entry.signature))) {
    throw new Rejected("EVIDENCE_SIGNATURE_INVALID", "the signature is not that of the key " + quote(entry.kid, 200));
  }
  return sha256(entry.message);
}
