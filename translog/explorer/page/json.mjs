// JSON in the one way that leaves no choice to the reader: valid UTF-8, no member twice, at most 32 levels.
import { Rejected, fromUTF8 } from "./text.mjs";

const maxDepth = 32;

class NotJSON extends Error {}

// parseJSON reads bytes, and returns null for what is not strict JSON. A value has a kind ("object", "array", "string",
// "number", "word"), its text, and what is in it: members, elements, or the value of a string.
export function parseJSON(bytes) {
  const text = fromUTF8(bytes);
  if (text === null) return null;
  try {
    return new Parser(text).whole();
  } catch (e) {
    if (e instanceof NotJSON) return null;
    throw e;
  }
}

const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const stringPattern = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const wordPattern = /true|false|null/y;

class Parser {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.depth = 0;
  }

  whole() {
    const v = this.value();
    if (this.peek() !== undefined) throw new NotJSON();
    return v;
  }

  peek() {
    while (" \t\r\n".includes(this.text[this.at] ?? "x")) this.at++;
    return this.text[this.at];
  }

  take(c) {
    if (this.peek() !== c) return false;
    this.at++;
    return true;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) throw new NotJSON();
    this.at = pattern.lastIndex;
    return found[0];
  }

  value() {
    const c = this.peek(), start = this.at;
    let v;
    if (c === "{" || c === "[") {
      if (++this.depth > maxDepth) throw new NotJSON();
      v = c === "{" ? { kind: "object", members: this.members() } : { kind: "array", elements: this.elements() };
      this.depth--;
    } else if (c === '"') {
      v = { kind: "string", value: this.string() };
    } else if (c === "-" || (c >= "0" && c <= "9")) {
      this.match(numberPattern);
      v = { kind: "number" };
    } else {
      this.match(wordPattern);
      v = { kind: "word" };
    }
    v.text = this.text.slice(start, this.at);
    return v;
  }

  string() {
    const value = JSON.parse(this.match(stringPattern));
    if (/[\ud800-\udfff]/u.test(value)) throw new NotJSON(); // half a character
    return value;
  }

  members() {
    const members = new Map();
    this.at++;
    if (this.take("}")) return members;
    do {
      if (this.peek() !== '"') throw new NotJSON();
      const name = this.string();
      if (members.has(name) || !this.take(":")) throw new NotJSON();
      members.set(name, this.value());
    } while (this.take(","));
    if (!this.take("}")) throw new NotJSON();
    return members;
  }

  elements() {
    const elements = [];
    this.at++;
    if (this.take("]")) return elements;
    do elements.push(this.value());
    while (this.take(","));
    if (!this.take("]")) throw new NotJSON();
    return elements;
  }
}

// canonicalString writes a string as RFC 8785 section 3.2.2.2 does, which is how JSON.stringify does.
export const canonicalString = (text) => JSON.stringify(text);

// canonical writes the RFC 8785 form of a value whose numbers are whole, of at most 15 digits: all that a record has.
export function canonical(v) {
  switch (v.kind) {
    case "object": {
      const names = [...v.members.keys()].sort(); // by UTF-16 code units, as the RFC asks
      return "{" + names.map((n) => canonicalString(n) + ":" + canonical(v.members.get(n))).join(",") + "}";
    }
    case "array":
      return "[" + v.elements.map(canonical).join(",") + "]";
    case "string":
      return canonicalString(v.value);
    case "number":
      if (whole(v) === null) throw new Rejected("EVIDENCE_RECORD_INVALID", "a number that no record has");
  }
  return v.text;
}

// whole returns the number that v is when it is a plain integer without sign, of at most 15 digits, else null.
export function whole(v) {
  return v?.kind === "number" && /^(?:0|[1-9][0-9]{0,14})$/.test(v.text) ? Number(v.text) : null;
}

export const textOf = (v) => (v?.kind === "string" ? v.value : null);
