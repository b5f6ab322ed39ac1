package evidence

import (
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

func keys(w *world) []*Vector {
	text := record(w.heartbeat(1))
	entry := func(name string, code evidence.Code, defect, entry string) *Vector {
		return w.vector(KindEntry, entry).reject(name, code, "", defect)
	}
	return []*Vector{
		entry("kid-other-server", evidence.CodeKeyMismatch, "kid is a key of another server", entryOf("did:web:evil.example#key-1", text, w.key, context)),
		entry("kid-no-did", evidence.CodeKeyMismatch, "kid is not a DID URL", entryOf("key-1", text, w.key, context)),
		entry("kid-unknown", evidence.CodeKeyUnknown, "kid is a key that the reader does not have", entryOf(server+"#key-2", text, w.key, context)),
		entry("signature-stranger", evidence.CodeSignatureInvalid, "signed by another key", entryOf(keyID, text, w.stranger, context)),
		entry("signature-no-context", evidence.CodeSignatureInvalid, "signed without the context line", entryOf(keyID, text, w.key, "")),
		entry("record-changed", evidence.CodeSignatureInvalid, "the record was changed after it was signed",
			edit(w.entry(w.allowed(1)), `"capiscio.target":"read_file"`, `"capiscio.target":"list_dir"`)),
	}
}

// link numbers records and chains them.
func (w *world) link(records ...*evidence.Record) []string {
	var all []string
	var previous evidence.Hash
	for i, r := range records {
		r.Sequence, r.Previous = uint64(i), previous
		if o := r.Outcome; o != nil && o.DecisionSequence >= r.Sequence {
			o.DecisionSequence = r.Sequence - 1
		}
		m, err := r.Message()
		must(err)
		previous = m.Hash()
		all = append(all, w.entry(r))
	}
	return all
}

// run is a stream: begun, allowed, denied, the outcome, changed, allowed, nothing.
func (w *world) run() []*evidence.Record {
	allowed := w.allowed(1)
	denied := w.denied(2)
	denied.Decision.Shadow = false
	return []*evidence.Record{
		w.genesis(), allowed, denied, w.outcome(3, allowed), w.change(4), w.allowed(5), w.heartbeat(6),
	}
}

func chains(w *world) []*Vector {
	good := w.link(w.run()...)
	chain := func(entries ...string) *Vector { return w.vector(KindChain, entries...) }
	partial := func(v *Vector) *Vector { v.AllowPartial = true; return v }
	open := func(v *Vector, decisions ...uint64) *Vector { v.Expect.Open = decisions; return v }
	late := func(v *Vector) *Vector { v.Tolerance = 3000; return v }

	// altered is the good chain in which the records from number at on were changed before they were chained.
	altered := func(at int, change func(*evidence.Record)) []string {
		records := w.run()
		change(records[at])
		return w.link(records...)
	}
	// last is an entry after the good chain, changed before it was signed.
	last := func(r *evidence.Record, change func(*evidence.Record)) string {
		e, err := evidence.ParseEntry([]byte(good[6]))
		must(err)
		m, err := e.Record.Message()
		must(err)
		r.Sequence, r.Previous = 7, m.Hash()
		if change != nil {
			change(r)
		}
		return w.entry(r)
	}
	after := func(entries ...string) *Vector { return chain(append(slices.Clone(good), entries...)...) }
	back := func(r *evidence.Record) { r.Time = r.Time.Add(-4 * time.Second) }
	return []*Vector{
		open(chain(good...).accept("chain-valid", "a stream of seven records"), 5),
		open(partial(chain(good[2:]...)).accept("chain-partial", "a part of the stream, with the outcome of a decision before it"), 5),
		chain(w.link(w.genesis(), w.refusals(1), w.heartbeat(2), w.refusals(3))...).
			accept("chain-refusals", "numbers of refusals among other records"),
		chain(w.link(w.genesis(), w.refusals(1), w.outcome(2, w.refusals(1)))...).
			reject("chain-outcome-refusals", evidence.CodeOutcomeUnmatched, "", "the outcome of refusals, which let nothing run"),
		open(late(chain(altered(6, back)...)).accept("chain-time-tolerated", "a clock that was set back by all that is tolerated"), 5),
		chain().reject("chain-empty", evidence.CodeGenesisMissing, "", "no entries at all"),
		chain(good[1:]...).reject("chain-no-genesis", evidence.CodeGenesisMissing, "", "the genesis record is missing"),
		chain(slices.Delete(slices.Clone(good), 2, 4)...).reject("chain-gap", evidence.CodeGap, "", "two records are missing"),
		chain(good[0], good[1], good[3], good[2], good[4]).reject("chain-reordered", evidence.CodeReordered, "", "two records in the wrong order"),
		partial(chain(good[4], good[5], good[2])).reject("chain-partial-reordered", evidence.CodeReordered, "", "a record from before the part comes after it"),
		chain(good[0], good[1], good[1]).reject("chain-duplicate", evidence.CodeDuplicate, "", "a record twice"),
		after(last(w.genesis(), func(r *evidence.Record) { r.Sequence, r.Previous, r.Genesis.Software = 0, evidence.Hash{}, "other" })).
			reject("chain-second-genesis", evidence.CodeGenesisRepeated, "", "another genesis record of the same stream"),
		after(last(w.denied(7), func(r *evidence.Record) { r.Sequence = 6 })).
			reject("chain-conflict", evidence.CodeConflict, "", "two records with one number"),
		chain(good[0], altered(1, func(r *evidence.Record) { r.Decision.Target = "list_dir" })[1], good[2]).
			reject("chain-rewritten", evidence.CodePreviousMismatch, "", "a record was exchanged for another one that the server signed"),
		after(last(w.heartbeat(7), func(r *evidence.Record) { r.Stream[0]++ })).
			reject("chain-other-stream", evidence.CodeStreamMismatch, "", "a record of another stream"),
		otherServer(w, after, last),
		late(chain(altered(6, func(r *evidence.Record) { r.Time = r.Time.Add(-4*time.Second - time.Millisecond) })...)).
			reject("chain-time-back", evidence.CodeTimeReversed, "", "a clock that was set back by more than is tolerated"),
		after(last(w.heartbeat(7), func(r *evidence.Record) { r.Time = r.Time.Add(-time.Second - 1) })).
			reject("chain-time-back-strict", evidence.CodeTimeReversed, "", "one nanosecond before the record before it"),
		chain(w.link(w.genesis(), epoch(w.heartbeat(1), 3), epoch(w.heartbeat(2), 2))...).
			reject("chain-epoch-back", evidence.CodeEpochReversed, "", "an earlier epoch"),
		after(last(w.outcome(7, w.allowed(1)), nil)).
			reject("chain-second-outcome", evidence.CodeOutcomeUnmatched, "", "a second outcome of one decision"),
		partial(chain(append(slices.Clone(good[2:]), last(w.outcome(7, w.allowed(1)), nil))...)).
			reject("chain-partial-second-outcome", evidence.CodeOutcomeUnmatched, "", "a second outcome of a decision before the part"),
		after(last(w.outcome(7, w.denied(2)), nil)).
			reject("chain-outcome-denied", evidence.CodeOutcomeUnmatched, "", "the outcome of a call that was denied"),
		after(last(w.outcome(7, w.allowed(5)), func(r *evidence.Record) { r.Outcome.DecisionID = badgeID })).
			reject("chain-outcome-id", evidence.CodeOutcomeUnmatched, "", "an outcome with the number of one decision and the id of another"),
	}
}

func epoch(r *evidence.Record, n uint64) *evidence.Record {
	r.Epoch = n
	return r
}

// otherServer has a record that another server signed for this stream, with a key that the reader knows.
func otherServer(w *world, after func(...string) *Vector, last func(*evidence.Record, func(*evidence.Record)) string) *Vector {
	const other = "did:web:other.example"
	r := w.heartbeat(7)
	text := last(r, func(r *evidence.Record) { r.Server = did.MustParse(server) })
	e, err := evidence.ParseEntry([]byte(text))
	must(err)
	v := after(entryOf(other+"#key-1", with(record(e.Record), "server", other), w.stranger, context))
	v.Keys[other+"#key-1"] = publicJWK(w.stranger)
	return v.reject("chain-other-server", evidence.CodeServerMismatch, "", "a record of another server")
}
