// The forms of single values of a record (spec/evidence.md sections 2 and 2.4).
import { fromOctets, hex, invisible, strictBase64URL, toUTF8 } from "./text.mjs";

export const maxTarget = 1024, maxText = 256, maxNumber = 999_999_999_999_999;

const hashPrefix = "sha256:";

// parseHash returns the bytes of a hash, or null.
export function parseHash(text) {
  if (!text.startsWith(hashPrefix) || text.length !== hashPrefix.length + 43) return null;
  return strictBase64URL(text.slice(hashPrefix.length));
}

export function plainText(text, limit) {
  return toUTF8(text).length <= limit && !text.startsWith(hashPrefix) && !invisible.test(text);
}

// textAllowed: plain text, or a hash that stands for text.
export const textAllowed = (text, limit) =>
  text.startsWith(hashPrefix) ? parseHash(text) !== null : plainText(text, limit);

export const isWord = (text) => /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(text);
export const isCode = (text) => /^[A-Z][A-Z0-9_]{0,63}$/.test(text);
export const isUUID4 = (text) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(text);
export const isLevel = (text) => /^[0-4]$/.test(text);
export const isStream = (text) => /^(?!0{32})[0-9a-f]{32}$/.test(text);
export const isSpan = (text) => /^[0-9a-f]{16}$/.test(text);

// isTime: RFC 3339 in UTC with nine digits of nanoseconds, of a day that there is.
export function isTime(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.\d{9}Z$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined) return false;
  const [year, month, day, hour, minute, second] = parts;
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
  return day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60;
}

export const recordableTime = (text) => Number(text.slice(0, 4)) >= 1970;

// parseGroup reads the text of a group of refusals, or returns null.
export function parseGroup(text) {
  const [, count, auth, reason, cause, capability, method] =
    /^(0|[1-9][0-9]{0,14}) ([^ ]*) ([^ ]*) ([^ ]+) ([^ ]+) (.*)$/s.exec(text) ?? [];
  if (count === undefined) return null;
  const none = (part) => (part === "-" ? "" : part);
  return {
    count: Number(count), auth, reason, cause: none(cause), capability: none(capability), method,
    key: toUTF8(text.slice(count.length + 1)),
  };
}

// before reports whether the bytes a sort before b.
export function before(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i] < b[i];
  }
  return a.length < b.length;
}

// A DID, or a DID URL, that was refused.
export class Refused extends Error {}

const maxDID = 1024, maxFragment = 256, maxMultikey = 512;

// checkDID throws Refused unless text is a did:key or did:web in its canonical spelling (spec/did.md section 2). It
// returns the key of a did:key, and null for a did:web.
export function checkDID(text, usable) {
  if (toUTF8(text).length > maxDID) throw new Refused("a DID of more than 1024 bytes");
  if (text.startsWith("did:key:")) {
    const key = multikey(text.slice(8));
    if (key === null || key.codec !== 0xed || !usable(key.raw)) throw new Refused("no did:key of a usable Ed25519 key");
    return key.raw;
  }
  if (!text.startsWith("did:web:")) throw new Refused("neither did:key nor did:web");
  checkWeb(text.slice(8));
  return null;
}

// splitDIDURL returns DID and fragment of a DID URL.
export function splitDIDURL(text, usable) {
  const cut = text.indexOf("#");
  if (cut < 0) throw new Refused("no fragment that names a key");
  const fragment = text.slice(cut + 1);
  checkDID(text.slice(0, cut), usable);
  if (fragment.length > maxFragment || !/^(?:[A-Za-z0-9._~!$&'()*+,;=:@\/?-]|%[0-9A-F]{2})+$/.test(fragment)) {
    throw new Refused("a fragment that RFC 3986 does not allow, or an empty one, or one of more than 256 bytes");
  }
  return { did: text.slice(0, cut), fragment };
}

function checkWeb(text) {
  const [first, ...segments] = text.split(":");
  const [, host, port] = /^([^%]*)(?:%3A([0-9]+))?$/.exec(first) ?? [];
  const labels = (host ?? "").split(".");
  const numeric = /^(?:[0-9]+|0x[0-9a-f]*)$/;
  if (
    host === undefined || host.length > 253 || labels.some((l) => !/^(?!-)[a-z0-9-]{1,63}$(?<!-)/.test(l)) ||
    numeric.test(labels.at(-1)) || (labels.length === 1 && host !== "localhost")
  ) {
    throw new Refused("a did:web whose host is no lower-case DNS name");
  }
  if (port !== undefined && (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65535 || port === "443")) {
    throw new Refused("a did:web with a port in another spelling than its own");
  }
  segments.forEach(checkSegment);
  if (segments.length === 1 && segments[0] === ".well-known") throw new Refused("a did:web of the path .well-known");
}

function checkSegment(segment) {
  const refused = new Refused("a did:web with a path segment that is not canonical, or not allowed");
  if (!/^(?:[A-Za-z0-9._-]|%[0-9A-F]{2})+$/.test(segment) || segment === "." || segment === "..") throw refused;
  let plain;
  try {
    plain = decodeURIComponent(segment); // refuses what is not UTF-8
  } catch {
    throw refused;
  }
  const again = Array.from(toUTF8(plain), (b) => {
    const c = String.fromCharCode(b);
    return /[A-Za-z0-9._-]/.test(c) ? c : "%" + hex([b]).toUpperCase();
  });
  if (again.join("") !== segment || plain === "." || plain === ".." || /[\u0000-\u001f\u007f-\u009f/\\%]/.test(plain)) throw refused;
}

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

// multikey reads a multibase key: codec and raw key, or null.
export function multikey(text) {
  if (!/^z[1-9A-HJ-NP-Za-km-z]*$/.test(text) || text.length > maxMultikey) return null;
  let n = 0n;
  for (const c of text.slice(1)) n = n * 58n + BigInt(base58Alphabet.indexOf(c));
  const digits = n === 0n ? "" : n.toString(16);
  const body = (digits.length % 2 ? "0" : "") + digits;
  const zeros = /^z(1*)/.exec(text)[1].length;
  const bytes = fromOctets("\0".repeat(zeros) + body.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))));
  let codec = 0, at = 0;
  for (; at < bytes.length && at < 4; at++) {
    codec += (bytes[at] & 0x7f) * 2 ** (7 * at);
    if (bytes[at] < 0x80) break;
  }
  if (at >= bytes.length || bytes[at] >= 0x80 || (at > 0 && bytes[at] === 0)) return null; // not the shortest varint
  return { codec, raw: bytes.slice(at + 1) };
}
