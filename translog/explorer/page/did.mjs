// The keys of a DID document (spec/did.md section 4).
import { hex, strictBase64URL, toUTF8 } from "./text.mjs";
import { parseJSON, textOf } from "./json.mjs";
import { canonicalKey } from "./ed25519.mjs";
import { Refused, checkDID, multikey, splitDIDURL } from "./forms.mjs";

const maxDocumentBytes = 100 << 10, maxMethods = 64, maxJWKBytes = 4 << 10;
const edTypes = ["Ed25519VerificationKey2018", "Ed25519VerificationKey2020"];
const p256Type = "EcdsaSecp256r1VerificationKey2019";
const knownTypes = ["JsonWebKey2020", "JsonWebKey", "Multikey", p256Type, ...edTypes];

// keysOfDID returns the keys of a did:key by DID URL, and null for a did:web, which has them in its document.
export function keysOfDID(did) {
  const key = checkDID(did, canonicalKey);
  return key === null ? null : new Map([[did + "#" + did.slice(8), key]]);
}

// documentKeys returns the Ed25519 keys of the document of a DID by DID URL. It throws Refused where the document is
// that of another, or contradicts itself; methods that cannot be used are left out.
export function documentKeys(bytes, did) {
  return new Map([...documentMethods(bytes, did)].filter(([, k]) => k.kind === "ed25519").map(([id, k]) => [id, k.raw]));
}

export function documentMethods(bytes, did) {
  const own = checkDID(did, canonicalKey);
  if (bytes.length > maxDocumentBytes) throw new Refused("a document of more than 102400 bytes");
  const doc = parseJSON(bytes);
  if (doc?.kind !== "object") throw new Refused("the document is not a JSON object, or has a member twice");
  if (textOf(doc.members.get("id")) !== did) throw new Refused("the document of another DID");
  const lists = ["verificationMethod", "authentication", "assertionMethod"].map((name) => listOf(doc.members.get(name)));
  const reader = { did, own, seen: new Set(), methods: new Map() };
  lists[0].forEach((v) => addMethod(reader, v));
  // What is named only is in the list, or means nothing.
  for (const v of [...lists[1], ...lists[2]]) {
    if (v.kind !== "string") addMethod(reader, v);
  }
  return reader.methods;
}

function listOf(v) {
  if (v === undefined || v.text === "null") return [];
  if (v.kind !== "array" || v.elements.length > maxMethods) throw new Refused("no list of at most 64 verification methods");
  return v.elements;
}

// member returns the string that a member is, "" where there is none.
function member(v, name) {
  const m = v.members.get(name);
  if (m === undefined || m.text === "null") return "";
  if (m.kind !== "string") throw new Refused("a verification method with a member that is not a string");
  return m.value;
}

function addMethod(reader, v) {
  if (v.kind !== "object") throw new Refused("a verification method that is not an object");
  const [given, type, controller] = ["id", "type", "controller"].map((name) => member(v, name));
  if (!given || !type || !controller) throw new Refused("a verification method without id, type or controller");
  const id = given.startsWith("#") ? reader.did + given : given;
  if (reader.seen.has(id)) throw new Refused("a verification method is given twice");
  if (reader.seen.add(id).size > maxMethods) throw new Refused("more than 64 verification methods");
  const key = readMethodKey(v, type);
  if (key === null || controller !== reader.did || !isOwn(id, reader.did)) return;
  if (reader.own !== null && hex(key.raw) !== hex(reader.own)) throw new Refused("another key than that of the did:key");
  reader.methods.set(id, key);
}

function isOwn(id, did) {
  try {
    return splitDIDURL(id, canonicalKey).did === did;
  } catch (e) {
    if (e instanceof Refused) return false;
    throw e;
  }
}

// readMethodKey returns null for a key that is left out.
function readMethodKey(v, type) {
  const jwk = v.members.get("publicKeyJwk"), multibase = v.members.get("publicKeyMultibase");
  const hasJWK = jwk !== undefined && jwk.text !== "null", hasMultibase = multibase !== undefined && multibase.text !== "null";
  const text = member(v, "publicKeyMultibase");
  if (hasJWK) {
    if (jwk.kind !== "object") throw new Refused("a publicKeyJwk that is not an object");
    if (jwk.members.has("d")) throw new Refused("the document publishes a private key");
  }
  if (!knownTypes.includes(type) || (!hasJWK && !hasMultibase)) return null;
  const keys = [hasJWK && readJWK(jwk), hasMultibase && readMultikey(text)].filter((k) => k);
  if (keys.length === 0) return null;
  if (hasJWK && hasMultibase && (keys.length === 1 || hex(keys[0].raw) !== hex(keys[1].raw))) {
    throw new Refused("a verification method with two keys that differ");
  }
  if ((edTypes.includes(type) && keys[0].kind !== "ed25519") || (type === p256Type && keys[0].kind !== "p256")) {
    throw new Refused("a verification method with a key that its type does not allow");
  }
  return keys[0];
}

const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

// readJWK returns an Ed25519 or a P-256 key, the latter as x and y, or null.
function readJWK(v) {
  const m = {};
  if (toUTF8(v.text).length > maxJWKBytes || privateMembers.some((name) => v.members.has(name))) return null;
  for (const name of ["kty", "crv", "x", "y", "kid", "alg", "use"]) {
    if (v.members.has(name) && !(m[name] = textOf(v.members.get(name)))) return null;
  }
  const ops = v.members.get("key_ops");
  if (ops !== undefined && !(ops.elements?.every((o) => o.kind === "string") && ops.elements.some((o) => o.value === "verify"))) return null;
  const [x, y] = [m.x, m.y].map((c) => (c?.length === 43 ? strictBase64URL(c) : null));
  const ed = m.kty === "OKP" && m.crv === "Ed25519" && m.y === undefined && x !== null && canonicalKey(x);
  const ec = m.kty === "EC" && m.crv === "P-256" && x !== null && y !== null && onP256(x, y);
  if ((!ed && !ec) || (m.use ?? "sig") !== "sig" || (m.alg !== undefined && m.alg !== (ed ? "EdDSA" : "ES256"))) return null;
  return ed ? { kind: "ed25519", raw: x } : { kind: "p256", raw: new Uint8Array([...x, ...y]) };
}

function readMultikey(text) {
  const key = multikey(text);
  if (key?.codec === 0xed && canonicalKey(key.raw)) return { kind: "ed25519", raw: key.raw };
  if (key?.codec === 0x1200) return expandP256(key.raw);
  return null;
}

// P-256 is here for one thing: to tell whether a method says the same key twice, and one that its type allows.
const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const integer = (bytes) => BigInt("0x" + hex(bytes));
const rightSide = (x) => (((x * x - 3n) * x + b) % p + p) % p;

function onP256(x, y) {
  const [xn, yn] = [integer(x), integer(y)];
  return xn < p && yn < p && (yn * yn) % p === rightSide(xn);
}

// expandP256 returns the point of a compressed one, or null.
function expandP256(raw) {
  if (raw.length !== 33 || (raw[0] !== 2 && raw[0] !== 3)) return null;
  const x = raw.slice(1), square = rightSide(integer(x));
  let y = 1n;
  for (let e = (p + 1n) / 4n, base = square; e > 0n; e >>= 1n, base = (base * base) % p) {
    if (e & 1n) y = (y * base) % p;
  }
  if (Number(y & 1n) !== (raw[0] & 1)) y = p - y;
  const bytes = y.toString(16).padStart(64, "0").match(/../g).map((pair) => parseInt(pair, 16));
  return onP256(x, bytes) ? { kind: "p256", raw: new Uint8Array([...x, ...bytes]) } : null;
}
