// How the rules for records are written.
import { Rejected } from "./text.mjs";
import { maxText, textAllowed } from "./forms.mjs";

export const invalid = (member, reason) => new Rejected("EVIDENCE_RECORD_INVALID", reason, member);

// What is zero is expressed by leaving the member out.
export const nonZero = (value) => value !== undefined && value !== "" && value !== 0;

export const allows = (kind) => kind === "allow" || kind === "allow_with_constraints";

// rules takes triples of member, what must hold, and why, and refuses at the first that does not.
export function rules(...all) {
  for (const [member, ok, want] of all) {
    if (!ok) throw invalid(member, "want " + want);
  }
}

export const plain = "plain text of at most 256 bytes, or a hash";
export const longPlain = "plain text of at most 1024 bytes, or a hash";

// reader returns functions for the values of r: text is "" and is a hash absent where there is none.
export function reader(r) {
  const text = (name) => r.values.get(name) ?? "";
  const has = (name) => nonZero(r.values.get(name));
  const orNone = (name, ok) => !has(name) || ok(text(name));
  const fits = (name, limit = maxText) => textAllowed(text(name), limit);
  return { text, has, orNone, fits, number: (name) => r.values.get(name) ?? 0 };
}
