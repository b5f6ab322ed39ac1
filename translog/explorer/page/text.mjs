// Octets, text, base64 and hashes, and the two ways in which a check ends early.

// Rejected: examined and found wanting. The codes are those of spec/receipt.md section 5 and spec/evidence.md section 8.
export class Rejected extends Error {
  constructor(code, reason, member = "") {
    super(reason);
    this.code = code;
    this.member = member;
  }
}

// Undetermined: it could not be told.
export class Undetermined extends Error {}

export const toUTF8 = (text) => new TextEncoder().encode(text);

// fromUTF8 returns null for what is not valid UTF-8. It keeps a byte order mark.
export function fromUTF8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

// octets returns a string of one character for each byte. TextDecoder's latin1 is windows-1252, which would not do.
export function octets(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

export const fromOctets = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function sameBytes(a, b) {
  return a.length === b.length && a.every((c, i) => c === b[i]);
}

export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

const standardAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const urlAlphabet = standardAlphabet.slice(0, 62) + "-_";

// unpack returns the bytes and whether bits were set that no byte uses, or null for what is not base64.
function unpack(text, alphabet) {
  if (text.length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let at = 0, held = 0, bits = 0;
  for (const c of text) {
    const value = alphabet.indexOf(c);
    if (value < 0) return null;
    held = (held << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return { bytes: out, slack: held !== 0 };
}

// base64 reads RFC 4648 section 4, with padding; null for anything else. slack tells set bits that mean nothing.
export function base64(text) {
  if (text.length % 4 !== 0) return null;
  return unpack(text.replace(/={1,2}$/, ""), standardAlphabet);
}

// strictBase64 and strictBase64URL return bytes, or null for another encoding than the one.
export function strictBase64(text) {
  const read = base64(text);
  return read === null || read.slack ? null : read.bytes;
}

export function strictBase64URL(text) {
  const read = unpack(text, urlAlphabet);
  return read === null || read.slack ? null : read.bytes;
}

export async function sha256(...parts) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) {
    throw new Undetermined("this page has no WebCrypto here: open it from a file, from localhost, or over https");
  }
  return new Uint8Array(await subtle.digest("SHA-256", concat(...parts)));
}

// What does not show, or makes other text show in another order (spec/evidence.md section 2.4).
export const invisible =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

// quote shows any text so that it can be taken for no other, and cannot change how what stands around it shows.
export function quote(text, limit = Infinity) {
  const shown = text.length > limit ? text.slice(0, limit) + "…" : text;
  const all = new RegExp(invisible.source + "|[\\ud800-\\udfff]", "gu");
  return JSON.stringify(shown).replace(all, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}
