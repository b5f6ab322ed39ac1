// The page. Whatever comes from a file is put into it as text, never as markup.
import { fromUTF8, hex, quote, toUTF8 } from "./text.mjs";
import { isKey, policyOfKey } from "./policy.mjs";
import { examine } from "./verify.mjs";

const fields = ["entry", "proof", "policy", "document"];
const maxFileBytes = 1 << 20;
const byID = (id) => document.getElementById(id);

// Octets of files, by field. Text that is typed or pasted takes their place.
const files = new Map();

// A verdict is about what was put in when it was asked for, and is not shown beside anything else.
let changes = 0;

function changed() {
  changes++;
  byID("result").hidden = true;
}

function setFile(field, bytes, name) {
  changed();
  files.set(field, bytes);
  byID(field).value = fromUTF8(bytes) ?? "";
  byID(field + "-from").textContent = "From the file " + quote(name, 120) + ", " + bytes.length + " bytes.";
}

async function readFile(field, file) {
  if (file.size > maxFileBytes) {
    byID((field ?? "entry") + "-from").textContent = "The file " + quote(file.name, 120) + " is larger than anything that is read here.";
    return;
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  setFile(field ?? fieldOf(bytes), bytes, file.name);
}

// fieldOf guesses where a file belongs that was dropped beside the fields.
function fieldOf(bytes) {
  const text = (fromUTF8(bytes) ?? "").trimStart();
  if (text.startsWith("c2sp.org/tlog-proof@")) return "proof";
  if (!text.startsWith("{")) return "policy";
  return /^\{\s*"kid"/.test(text) ? "entry" : "document";
}

// bytesOf returns what was put into a field, null when that is nothing.
function bytesOf(field) {
  const text = byID(field).value;
  if (!files.has(field) && text === "") return null;
  if (field === "policy" && isKey(text.trim())) return policyOfKey(text.trim());
  return files.get(field) ?? toUTF8(text);
}

function element(name, text, attributes = {}) {
  const e = document.createElement(name);
  e.textContent = text;
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

function row(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells);
  return tr;
}

function show(outcome) {
  byID("result").hidden = false;
  byID("verdict").dataset.verdict = outcome.verdict;
  byID("verdict").dataset.code = outcome.code;
  byID("verdict").textContent = [outcome.verdict, outcome.code].filter((t) => t !== "").join(": ");
  byID("checks").tBodies[0].replaceChildren(checkRow("In the log", outcome.log), checkRow("Signed by the server", outcome.record));
  byID("shown").replaceChildren(...listOrNothing(shown(outcome)));
  byID("unshown").replaceChildren(...notShown(outcome).map((t) => element("li", t)));
  showRecord(outcome.record);
  byID("result-title").focus();
}

function checkRow(name, v) {
  const reason = v.member ? quote(v.member, 80) + ": " + v.reason : v.reason;
  return row(element("th", name, { scope: "row" }), element("td", v.verdict, { "data-verdict": v.verdict }), element("td", v.code), element("td", reason));
}

const listOrNothing = (texts) => (texts.length === 0 ? ["Nothing."] : texts).map((t) => element("li", t));

// shown says what was verified, and no more.
function shown({ log, record }) {
  const texts = [];
  if (log.verdict === "accepted") {
    const { index, leaf, checkpoint, form } = log.value;
    const number = form === "digest" ? "of which number " + index + " is the digest of this record" : "of which this is number " + index;
    texts.push(
      "The log " + quote(checkpoint.origin, 200) + " has signed a tree of " + checkpoint.size + " entries, " + number +
        ". The leaf hash is " + hex(leaf) + ", the root " + hex(checkpoint.root) + ".",
    );
    for (const c of checkpoint.cosignatures) {
      texts.push("The witness " + quote(witnessName(c.witness), 80) + " cosigned that tree and says that it was at " + timeText(c.time) + ".");
    }
  }
  if (record.verdict === "accepted") {
    texts.push("The server " + quote(record.value.server, 1024) + " signed this record with the key " + quote(record.parsed.kid, 1400) + ".");
  }
  return texts;
}

const witnessName = (name) => fromUTF8(Uint8Array.from(name, (c) => c.charCodeAt(0))) ?? name;

function timeText(seconds) {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? seconds + " s after 1970" : date.toISOString();
}

function notShown({ log, record }) {
  const texts = [];
  if (log.verdict === "accepted" && !log.value.needsWitnesses) {
    texts.push("That the log shows the same tree to everybody: the policy asks for no witness.");
  }
  if (record.verdict === "accepted") {
    texts.push(
      "That what the record says is true: it is what the server says. That the caller agrees, its call proof would show.",
      "That the record is about your call: compare its members, and proof_hash with the hash of the call proof that was sent.",
      "That nothing is missing before or after it: for that, verify the stream.",
    );
  }
  texts.push("That policy and DID document are the right ones: they are what you put in, and may be old.");
  if (record.parsed?.unknown.length > 0) {
    texts.push("What these members mean, which this page does not know: " + record.parsed.unknown.join(", ") + ".");
  }
  return texts;
}

function showRecord({ verdict, parsed }) {
  byID("record-part").hidden = parsed === null;
  if (parsed === null) return;
  byID("record-note").textContent = verdict === "accepted"
    ? "The server signed this. Texts may come from callers, who can write what they like."
    : "Nobody is known to have signed this: nothing in it may be believed.";
  const rows = [...parsed.record.members].map(([name, v]) =>
    row(element("th", name, { scope: "row" }), element("td", v.kind === "string" ? quote(v.value) : v.text)));
  byID("members").tBodies[0].replaceChildren(...rows);
}

async function verify(event) {
  event.preventDefault();
  byID("verify").disabled = true;
  const asked = changes;
  try {
    const outcome = await examine(Object.fromEntries(fields.map((f) => [f, bytesOf(f)])));
    if (asked === changes) show(outcome);
  } finally {
    byID("verify").disabled = false;
  }
}

function clear() {
  changed();
  files.clear();
  fields.forEach((f) => (byID(f + "-from").textContent = ""));
}

function dropped(event) {
  const box = event.target.closest?.(".box") ?? null;
  document.querySelectorAll(".over").forEach((b) => b.classList.remove("over"));
  const list = [...(event.dataTransfer?.files ?? [])];
  if (list.length === 0) return; // text goes where it is dropped
  event.preventDefault();
  const field = box === null || list.length > 1 ? null : box.id.replace("-box", "");
  list.forEach((file) => readFile(field, file));
}

function dragged(event) {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  event.preventDefault();
  const box = event.target.closest?.(".box") ?? null;
  document.querySelectorAll(".box").forEach((b) => b.classList.toggle("over", b === box));
}

for (const field of fields) {
  byID(field + "-file").addEventListener("change", (event) => {
    for (const file of event.target.files) readFile(field, file);
  });
  byID(field).addEventListener("input", () => {
    changed();
    files.delete(field);
    byID(field + "-from").textContent = "";
  });
}
byID("inputs").addEventListener("submit", verify);
byID("inputs").addEventListener("reset", clear);
document.addEventListener("dragover", dragged);
document.addEventListener("drop", dropped);
