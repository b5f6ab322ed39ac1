// The policy: whom to trust (spec/receipt.md section 4).
import { Rejected, fromOctets, fromUTF8, hex, octets, sha256, strictBase64, toUTF8 } from "./text.mjs";
import { usableKey } from "./ed25519.mjs";

export const typeLog = 0x01, typeWitness = 0x04;
const maxPolicyBytes = 64 << 10, maxEach = 64;

const badPolicy = (reason) => new Rejected("LOG_POLICY_MALFORMED", reason);

// validName is that of signed-note; without control characters it is that of a key in a policy.
export const validName = (name) => name !== "" && !/[+\p{White_Space}]/u.test(name);

// parseKey reads a verifier key of this type, in its one encoding.
async function parseKey(text, type) {
  const [name, id, key] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text)?.slice(1) ?? [];
  const raw = key === undefined ? null : strictBase64(key);
  const named = name === undefined ? null : fromUTF8(fromOctets(name));
  if (raw === null || raw.length === 0 || named === null || !validName(named) || /\p{Cc}/u.test(named)) {
    throw badPolicy("a key is not a name, a key ID and a key, in their one encoding");
  }
  if (raw[0] !== type) throw badPolicy("a key is of another type than its line asks for");
  if (!usableKey(raw.subarray(1))) throw badPolicy("a key is no usable Ed25519 key");
  const hash = (await sha256(toUTF8(named + "\n"), raw)).subarray(0, 4);
  if (hex(hash) !== id) throw badPolicy("a key ID does not belong to its name and key");
  return { id: keyID(named, id), name: named, type, key: raw.slice(1) };
}

// keyID is what a signature line says about the key that made it.
export const keyID = (name, hash) => name + "+" + hash;

// parsePolicy reads the file. witnesses maps key IDs to names; met tells whether the names seen are a quorum.
export async function parsePolicy(bytes) {
  if (bytes.length > maxPolicyBytes) throw badPolicy("the policy has more than 65536 bytes");
  const text = octets(bytes);
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) throw badPolicy("the policy has a control character");
  if (text !== "" && !text.endsWith("\n")) throw badPolicy("the last line does not end in a line feed");
  const file = new PolicyFile();
  let number = 0;
  for (const line of text.split("\n")) {
    number++;
    try {
      await file.line(line.split(/[ \t]+/).filter((f) => f !== ""));
    } catch (e) {
      if (e instanceof Rejected) e.message = "line " + number + ": " + e.message;
      throw e;
    }
  }
  return file.policy();
}

class PolicyFile {
  logs = [];
  witnesses = [];
  components = new Map(); // by name: who must have cosigned
  inGroup = new Set();
  groups = 0;
  quorum = null;

  async line([keyword, ...args]) {
    if (keyword === undefined || keyword.startsWith("#")) return;
    switch (keyword) {
      case "log": return this.log(args);
      case "witness": return this.witness(args);
      case "group": return this.group(args);
      case "quorum": return this.setQuorum(args);
    }
    throw badPolicy("an unknown keyword");
  }

  async log(args) {
    if (args.length < 1 || args.length > 2) throw badPolicy("a log line has a key and perhaps a URL");
    const key = await parseKey(args[0], typeLog);
    checkURL(args[1]);
    add(this.logs, key);
  }

  async witness(args) {
    if (args.length < 2 || args.length > 3) throw badPolicy("a witness line has a name, a key and perhaps a URL");
    this.checkNew(args[0]);
    const key = await parseKey(args[1], typeWitness);
    checkURL(args[2]);
    add(this.witnesses, { ...key, witness: args[0] });
    this.components.set(args[0], (seen) => seen.has(args[0]));
  }

  group([name, threshold, ...members]) {
    if (members.length === 0) throw badPolicy("a group line has a name, a threshold and members");
    this.checkNew(name);
    const least = thresholdOf(threshold, members.length);
    if (this.groups++ === maxEach) throw badPolicy("more than 64 groups");
    const parts = members.map((member) => {
      if (!this.components.has(member)) throw badPolicy("a group member is not defined above");
      if (this.inGroup.has(member)) throw badPolicy("a group member stands in a group already");
      this.inGroup.add(member);
      return this.components.get(member);
    });
    this.components.set(name, (seen) => parts.filter((met) => met(seen)).length >= least);
  }

  setQuorum(args) {
    if (args.length !== 1) throw badPolicy("a quorum line has one name");
    if (this.quorum !== null) throw badPolicy("a second quorum line");
    this.quorum = args[0] === "none" ? () => true : (this.components.get(args[0]) ?? null);
    if (this.quorum === null) throw badPolicy("the quorum is not defined above");
  }

  checkNew(name) {
    if (name === "none") throw badPolicy("the name none is taken");
    if (this.components.has(name)) throw badPolicy("a name is defined a second time");
  }

  policy() {
    if (this.quorum === null) throw badPolicy('there is no quorum line; "quorum none" asks for no witness');
    if (this.logs.length === 0) throw badPolicy("there is no log line, so no checkpoint could ever be accepted");
    const own = new Set(this.logs.map((k) => hex(k.key)));
    if (this.witnesses.some((k) => own.has(hex(k.key)))) throw badPolicy("a log's key is a witness's key as well");
    return {
      logs: groupByName(this.logs),
      witnesses: this.witnesses,
      met: this.quorum,
      needsWitnesses: !this.quorum(new Set()),
    };
  }
}

function groupByName(keys) {
  const groups = new Map();
  for (const k of keys) groups.set(k.name, [...(groups.get(k.name) ?? []), k]);
  return groups;
}

function add(keys, key) {
  if (keys.some((k) => hex(k.key) === hex(key.key))) throw badPolicy("a key is given a second time");
  if (keys.length === maxEach) throw badPolicy("more than 64 logs or witnesses");
  keys.push(key);
}

function thresholdOf(text, members) {
  if (text === "all") return members;
  if (text === "any") return 1;
  if (!/^[1-9][0-9]{0,8}$/.test(text) || Number(text) > members) {
    throw badPolicy("a threshold is neither all nor any nor a number of the members");
  }
  return Number(text);
}

// checkURL wants http or https with a host. The URL means nothing here, and nothing is ever fetched from it.
function checkURL(url) {
  if (url === undefined) return;
  const [authority, rest] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(url)?.slice(1) ?? [""];
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const named = /^(?:\[[^[\]]+\]|(?:[\w.~!$&'()*+,;=<>"\u0080-\u00ff-]|%[89a-f][0-9a-f])*)(?::[0-9]*)?$/i;
  if (host === "" || !named.test(host) || /%(?![0-9a-f]{2})/i.test(rest)) throw badPolicy("a URL is not an http or https URL");
}

// policyOfKey is the policy of one log that no witness watches.
export const policyOfKey = (vkey) => toUTF8("log " + vkey + "\nquorum none\n");

export const isKey = (text) => /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/.test(text);
