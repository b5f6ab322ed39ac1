package evidence

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/translog"
)

func disclosures(w *world) []*Vector {
	entry := w.entry(w.allowed(1))
	nested := evidence.Params{Arguments: json.RawMessage(nestedArguments)}
	nestedRecord := w.allowed(1)
	nestedRecord.Decision.ParamsCommitment, _ = evidence.Commit(w.salt, &nested)
	nestedEntry := w.entry(nestedRecord)
	show := func(entry string, p *evidence.Params, pointer string, change func(*evidence.Disclosure)) *Vector {
		d, err := evidence.Disclose(w.salt, p, pointer)
		must(err)
		if change != nil {
			change(d)
		}
		text, err := jcs.Marshal(d)
		must(err)
		v := w.vector(KindDisclosure, entry)
		v.Disclosure = string(text)
		return v
	}
	pin := func(change func(*evidence.Disclosure)) *Vector {
		return show(entry, &w.params, "/arguments/pin", change)
	}
	deep := func(pointer string, change func(*evidence.Disclosure)) *Vector {
		return show(nestedEntry, &nested, pointer, change)
	}
	bad := func(name, defect string, change func(*evidence.Disclosure)) *Vector {
		return pin(change).reject(name, evidence.CodeCommitmentMismatch, "", defect)
	}
	otherEntry := func(name, defect string, r *evidence.Record) *Vector {
		v := bad(name, defect, nil)
		v.Entries = []string{w.entry(r)}
		return v
	}
	malformed := func(name, defect, old, with string) *Vector {
		v := pin(nil)
		v.Disclosure = edit(v.Disclosure, old, with)
		return v.reject(name, evidence.CodeMalformed, "", defect)
	}
	octets := w.allowed(1)
	octets.Decision.ParamsCommitment, octets.Decision.ParamsForm = evidence.Commit(w.salt, &evidence.Params{Arguments: json.RawMessage("[1]")})
	otherSalt := w.allowed(1)
	otherSalt.Decision.ParamsCommitment, _ = evidence.Commit(seed("other salt"), &w.params)
	const pinPath = `"path":["arguments","pin"]`
	return []*Vector{
		pin(nil).accept("disclosure-valid", "one argument is shown, the other is not"),
		show(entry, &w.params, "/input_responses/approval/action", nil).accept("disclosure-input-response", "a value in an input response is shown"),
		show(entry, &w.params, "/arguments", nil).accept("disclosure-part-whole", "all arguments are shown, and no input response"),
		deep("/arguments/list/2", nil).accept("disclosure-element", "an element of an array is shown"),
		deep("/arguments/list/1", nil).accept("disclosure-subtree", "an element of an array is shown, with all that is in it"),
		deep("/arguments/list/1/~1~0", nil).accept("disclosure-name-escaped", "a member is shown whose name a pointer escapes"),
		deep("/arguments/none", nil).accept("disclosure-empty", "an empty array is shown"),
		bad("disclosure-value", "another value", func(d *evidence.Disclosure) { d.Value = json.RawMessage("1235") }),
		bad("disclosure-value-type", "the value as a string", func(d *evidence.Disclosure) { d.Value = json.RawMessage(`"1234"`) }),
		bad("disclosure-name", "another name", func(d *evidence.Disclosure) { d.Path[1] = evidence.MemberStep("pim") }),
		bad("disclosure-part", "a member of the arguments shown as an input response", func(d *evidence.Disclosure) { d.Path[0] = evidence.MemberStep("input_responses") }),
		bad("disclosure-key", "another key", func(d *evidence.Disclosure) { d.Key[0] ^= 1 }),
		bad("disclosure-siblings", "a sibling is missing", func(d *evidence.Disclosure) { d.Siblings[1] = d.Siblings[1][1:] }),
		deep("/arguments/list/2", func(d *evidence.Disclosure) { d.Path[2] = evidence.ElementStep(0) }).
			reject("disclosure-element-other", evidence.CodeCommitmentMismatch, "", "an element shown at another place"),
		deep("/arguments/list/2", func(d *evidence.Disclosure) { d.Path[2] = evidence.MemberStep("2") }).
			reject("disclosure-element-name", evidence.CodeCommitmentMismatch, "", "an element shown as a member"),
		deep("/arguments/none", func(d *evidence.Disclosure) { d.Value = json.RawMessage("{}") }).
			reject("disclosure-empty-other", evidence.CodeCommitmentMismatch, "", "an empty array shown as an empty object"),
		deep("/arguments/list/1", func(d *evidence.Disclosure) { d.Levels = 3 }).
			reject("disclosure-levels-other", evidence.CodeCommitmentMismatch, "", "a value that was taken apart shown as one that was not"),
		otherEntry("disclosure-other-record", "the disclosure of another record with the same parameters", otherSalt),
		otherEntry("disclosure-octets", "the parameters were committed to as a whole", octets),
		otherEntry("disclosure-heartbeat", "the record is not a decision", w.heartbeat(1)),
		malformed("disclosure-part-unknown", "a part that there is not", `"arguments"`, `"result"`),
		malformed("disclosure-path-pointer", "a JSON Pointer in the place of the path", pinPath, `"path":"/arguments/pin"`),
		malformed("disclosure-path-step", "a step that is neither a name nor a number", pinPath, `"path":["arguments",null]`),
		malformed("disclosure-levels", "more steps than there are levels", `"levels":32`, `"levels":1`),
		malformed("disclosure-siblings-null", "null in the place of a list", `"siblings":[[`, `"siblings":[null,[`),
		malformed("disclosure-siblings-steps", "no siblings for the last step", pinPath, `"path":["arguments","pin",0]`),
		malformed("disclosure-value-missing", "no value", `,"value":1234`, ``),
		malformed("disclosure-further-member", "a member that disclosures do not have", pinPath, `"index":1,`+pinPath),
		deep("/arguments/list/2", func(d *evidence.Disclosure) { d.Path[2] = evidence.ElementStep(4) }).
			reject("disclosure-element-beyond", evidence.CodeMalformed, "", "the number of an element for which there are too few siblings"),
	}
}

// nestedArguments have what flat ones have not.
const nestedArguments = `{"list":[7,{"/~":true,"a":[]},"x"],"none":[]}`

func openings(w *world) []*Vector {
	text := func(s string) *string { return &s }
	salt := b64(w.salt[:])
	params := func(r *evidence.Record, arguments, responses *string) *Vector {
		v := w.vector(KindParams, w.entry(r))
		v.Opening = &Opening{Salt: salt, Arguments: arguments, InputResponses: responses}
		return v
	}
	results := func(r *evidence.Record, result string) *Vector {
		v := w.vector(KindResult, w.entry(r))
		v.Opening = &Opening{Salt: salt, Result: &result}
		return v
	}
	committed := func(arguments string) *evidence.Record {
		r := w.allowed(1)
		r.Decision.ParamsCommitment, r.Decision.ParamsForm = evidence.Commit(w.salt, &evidence.Params{Arguments: json.RawMessage(arguments)})
		return r
	}
	responses := text(string(w.params.InputResponses))
	otherSalt := params(w.allowed(1), text(string(w.params.Arguments)), responses)
	s := seed("other salt")
	otherSalt.Opening.Salt = b64(s[:])
	outcome := w.outcome(2, w.allowed(1))
	return []*Vector{
		params(w.allowed(1), text(`{"pin": 1.234e3, "path":"\/srv\/data\/a.txt"}`), responses).accept("params-valid", "all parameters are shown, written otherwise"),
		params(committed("null"), text("{}"), nil).accept("params-none", "there were none: absent, null and {} are the same"),
		params(committed(`[1,1]`), text(`[1,1]`), nil).accept("params-octets", "parameters without a canonical form, shown as they were sent"),
		params(w.allowed(1), text(`{"path":"/srv/data/a.txt","pin":1235}`), responses).reject("params-other", evidence.CodeCommitmentMismatch, "", "one parameter is another"),
		params(w.allowed(1), text(string(w.params.Arguments)), nil).reject("params-part-missing", evidence.CodeCommitmentMismatch, "", "the input responses are not shown"),
		params(committed(`[1,1]`), text(`[1, 1]`), nil).reject("params-octets-other", evidence.CodeCommitmentMismatch, "", "parameters without a canonical form, written otherwise"),
		otherSalt.reject("params-salt", evidence.CodeCommitmentMismatch, "", "the salt is another"),
		results(outcome, result).accept("result-valid", "the result is shown"),
		results(outcome, strings.ToUpper(result)).reject("result-other", evidence.CodeCommitmentMismatch, "", "the result is another"),
		results(w.allowed(1), result).reject("result-of-decision", evidence.CodeCommitmentMismatch, "", "the record commits to no result"),
	}
}

// leaves hold what a log has against an entry.
func leaves(w *world) []*Vector {
	entry := w.entry(w.allowed(1))
	digest := string(evidence.FormDigest.Leaf([]byte(entry)))
	leaf := func(form evidence.LogForm, leaf string) *Vector {
		v := w.vector(KindLeaf, entry)
		v.Leaf, v.LogForm = b64([]byte(leaf)), form.String()
		return v
	}
	return []*Vector{
		leaf(evidence.FormRecord, entry).accept("leaf-record", "the leaf is the entry"),
		leaf(evidence.FormDigest, digest).accept("leaf-digest", "the leaf is the digest of the entry"),
		leaf(evidence.FormRecord, digest).reject("leaf-form-digest", evidence.CodeLogForm, "", "the reader was told of whole records, and the leaf is a digest"),
		leaf(evidence.FormDigest, entry).reject("leaf-form-record", evidence.CodeLogForm, "", "the reader was told of digests, and the leaf is the entry"),
		leaf(evidence.FormDigest, digest[:len(digest)-1]).reject("leaf-digest-short", evidence.CodeLogForm, "", "a digest of 31 bytes"),
		leaf(evidence.FormDigest, edit(digest, "/v1", "/v2")).reject("leaf-digest-version", evidence.CodeLogForm, "", "a digest of another version"),
		leaf(evidence.FormRecord, w.entry(w.heartbeat(2))).reject("leaf-other-record", evidence.CodeLeafMismatch, "", "the leaf is another entry"),
		leaf(evidence.FormDigest, string(evidence.FormDigest.Leaf([]byte(w.entry(w.heartbeat(2)))))).
			reject("leaf-other-digest", evidence.CodeLeafMismatch, "", "the leaf is the digest of another entry"),
	}
}

func promises(w *world) []*Vector {
	r := w.allowed(1)
	entry := w.entry(r)
	leaf := evidence.Hash(translog.LeafHash([]byte(entry)))
	p := &evidence.Promise{
		Server: did.MustParse(server), LeafHash: leaf, Stream: r.Stream, Sequence: 1, LogOrigin: "log.example/touchmark",
		IssuedAt: time.Unix(1790000001, 0), Deadline: time.Unix(1790000061, 0),
	}
	token, err := p.Sign(keyID, w.key)
	must(err)
	digested := *p
	digested.LeafHash = evidence.FormDigest.LeafHash([]byte(entry))
	digest, err := digested.Sign(keyID, w.key)
	must(err)
	promise := func(token string, entries ...string) *Vector {
		v := w.vector(KindPromise, entries...)
		v.Promise = token
		return v
	}
	own := jws.Header{Typ: "touchmark-promise+jwt", Kid: keyID}
	rewritten := w.allowed(1)
	rewritten.Decision.Target = "list_dir"
	claim := func(name, claim string, value any, defect string) *Vector {
		return promise(w.promise(own, p, claim, value)).reject(name, evidence.CodePromiseMalformed, "", defect)
	}
	return []*Vector{
		promise(token, entry).accept("promise-valid", "the entry is the one that was promised"),
		promise(digest, entry).accept("promise-digest", "the entry is the one whose digest was promised"),
		promise(token, w.entry(rewritten)).reject("promise-rewritten", evidence.CodePromiseMismatch, "", "the server signed another entry for this place"),
		promise(token, w.entry(w.heartbeat(2))).reject("promise-other-place", evidence.CodePromiseMismatch, "", "the promise is about another record"),
		promise(w.promise(jws.Header{Typ: "capiscio.hop+jwt", Kid: keyID}, p, "", nil)).reject("promise-typ", evidence.CodePromiseMalformed, "", "typ is that of a call proof"),
		promise(w.promise(jws.Header{Typ: own.Typ, Kid: "did:web:evil.example#key-1"}, p, "", nil)).reject("promise-kid", evidence.CodeKeyMismatch, "", "a promise whose kid is a key of another server"),
		promise(w.promise(jws.Header{Typ: own.Typ, Kid: server + "#key-2"}, p, "", nil)).reject("promise-key-unknown", evidence.CodeKeyUnknown, "", "a promise whose kid is a key that the reader does not have"),
		promise((&world{key: w.stranger}).promise(own, p, "", nil)).reject("promise-signature", evidence.CodePromiseSignature, "", "a promise signed by another key"),
		promise(token[:len(token)-1]).reject("promise-cut", evidence.CodePromiseMalformed, "", "the last character is missing"),
		claim("promise-iss", "iss", nil, "iss is missing"),
		claim("promise-leaf", "leaf_hash", leaf.String()[7:], "leaf_hash has no prefix"),
		claim("promise-stream", "stream", strings.Repeat("0", 32), "a promise for the zero stream"),
		claim("promise-seq", "seq", nil, "a promise without seq"),
		claim("promise-origin", "log_origin", nil, "log_origin is missing"),
		claim("promise-deadline", "deadline", 1790000001, "the deadline is when the promise was made"),
		claim("promise-index", "index", 1, "a claim that promises do not have"),
	}
}

// promise signs the claims of p, with the one of that name set to value, or removed if that is nil.
func (w *world) promise(h jws.Header, p *evidence.Promise, claim string, value any) string {
	claims := map[string]any{
		"iss": p.Server, "leaf_hash": p.LeafHash, "stream": p.Stream, "seq": p.Sequence, "log_origin": p.LogOrigin,
		"iat": p.IssuedAt.Unix(), "deadline": p.Deadline.Unix(),
	}
	if claims[claim] = value; value == nil {
		delete(claims, claim)
	}
	payload, err := jcs.Marshal(claims)
	must(err)
	token, err := jws.Sign(h, payload, w.key)
	must(err)
	return token
}
