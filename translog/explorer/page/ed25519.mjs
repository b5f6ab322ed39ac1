// Ed25519 by WebCrypto, which some browsers do not have yet.
import { Undetermined, fromOctets, hex } from "./text.mjs";

const keyBytes = 32;

// The points of order 1, 2, 4 and 8 in all their encodings, without the sign: anybody can sign under them.
const top = (low) => low + "ff".repeat(30) + "7f";
const smallOrder = new Set([
  "00".repeat(32), "01" + "00".repeat(31),
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  top("ec"), top("ed"), top("ee"),
]);

// usableKey refuses the wrong length and points of small order.
export function usableKey(key) {
  if (key.length !== keyBytes) return false;
  const y = Uint8Array.from(key);
  y[31] &= 0x7f;
  return !smallOrder.has(hex(y));
}

// canonicalKey refuses second spellings of a point as well.
export function canonicalKey(key) {
  if (!usableKey(key)) return false;
  const above = key[0] >= 0xed && (key[31] & 0x7f) === 0x7f && key.subarray(1, 31).every((b) => b === 0xff);
  return !above;
}

// ed25519Verify reports whether the signature is the key's over the message. It throws Undetermined where it cannot tell.
export async function ed25519Verify(key, message, signature) {
  if (!(await supported())) {
    throw new Undetermined("WebCrypto has no Ed25519 here, so that no signature can be checked: use a newer browser");
  }
  return verifyRaw(key, message, signature);
}

async function verifyRaw(key, message, signature) {
  const subtle = globalThis.crypto.subtle;
  let imported;
  try {
    imported = await subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (e) {
    if (e?.name === "DataError") return false; // no point of the curve: verifies nothing
    throw new Undetermined("WebCrypto did not take a key: " + e?.name);
  }
  return subtle.verify({ name: "Ed25519" }, imported, signature, message);
}

const probe = {
  key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
};

const fromHex = (text) => fromOctets(text.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))));

let probed = null;

// supported asks WebCrypto for the first test of RFC 8032 section 7.1, and for its refusal with another message.
function supported() {
  probed ??= (async () => {
    const [key, signature] = [fromHex(probe.key), fromHex(probe.signature)];
    try {
      return (await verifyRaw(key, new Uint8Array(0), signature)) && !(await verifyRaw(key, new Uint8Array(1), signature));
    } catch {
      return false;
    }
  })();
  return probed;
}
