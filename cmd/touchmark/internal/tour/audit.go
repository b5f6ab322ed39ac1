package tour

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// publishLog waits until a checkpoint covers every record, and saves what an
// auditor needs: entries, proofs, two checkpoints and the way between them.
func publishLog(ctx context.Context, w *world) error {
	if err := w.ledger.Flush(ctx); err != nil {
		return err
	}
	records := w.ledger.Status().Records
	cp, err := w.log.AwaitPublished(ctx, records-1)
	if err != nil {
		return err
	}
	for stored, err := range w.ledger.Entries(0) {
		if err != nil {
			return err
		}
		if err := w.saveReceipt(ctx, cp, stored); err != nil {
			return err
		}
	}
	doc, err := w.documents["/.well-known/did.json"].MarshalJSON()
	if err != nil {
		return err
	}
	if err := w.publish("server.did.json", doc); err != nil {
		return err
	}
	w.find("%d records, each with an entry and a proof in %s", records, w.path("receipts"))
	return errors.Join(w.saveConsistency(ctx, cp), w.saveHome())
}

func (w *world) saveReceipt(ctx context.Context, cp *translog.Checkpoint, record *evidence.StoredRecord) error {
	leaf, err := w.log.Entry(ctx, record.Sequence)
	if err != nil {
		return err
	}
	if err := w.o.LogForm.VerifyLeaf(record.Entry, leaf); err != nil {
		return err
	}
	proof, err := w.log.Prove(ctx, cp, record.Sequence)
	if err != nil {
		return err
	}
	text, err := proof.MarshalText()
	if err != nil {
		return err
	}
	name := filepath.Join("receipts", fmt.Sprintf("%04d", record.Sequence))
	return errors.Join(w.publish(name+".json", record.Entry), w.publish(name+".tlog-proof", text))
}

// saveConsistency saves both checkpoints and the hashes between them.
func (w *world) saveConsistency(ctx context.Context, cp *translog.Checkpoint) error {
	if w.early.Size() == cp.Size() {
		return errors.New("the log did not grow: there is nothing to be consistent with")
	}
	hashes, err := w.log.Consistency(ctx, w.early, cp)
	if err != nil {
		return err
	}
	text, err := json.Marshal(hashes)
	if err != nil {
		return err
	}
	w.find("checkpoints of %d and of %d records, and the proof that one continues the other", w.early.Size(), cp.Size())
	return errors.Join(
		w.publish("checkpoint.early", w.early.Note()),
		w.publish("checkpoint", cp.Note()),
		w.publish("consistency.json", text),
	)
}

// An archive is what an auditor has: files, and nothing else.
type archive struct {
	policy  *translog.Policy
	keys    evidence.Keys
	entries [][]byte
	proofs  []*translog.Proof
}

// verifyOffline stops everything that runs, and then believes nothing but the
// files: the log's and the server's public keys.
func verifyOffline(ctx context.Context, w *world) error {
	records := w.ledger.Status().Records
	if err := w.stop(ctx); err != nil {
		return err
	}
	a, err := w.readArchive()
	if err != nil {
		return err
	}
	if uint64(len(a.entries)) != records {
		return fmt.Errorf("%d receipts for %d records", len(a.entries), records)
	}
	summary, err := evidence.VerifyChain(a.entries, &evidence.ChainConfig{Keys: a.keys})
	if err != nil {
		return err
	}
	if len(summary.Open) != 0 {
		return fmt.Errorf("%d calls have no outcome", len(summary.Open))
	}
	for i, entry := range a.entries {
		in, err := w.o.LogForm.VerifyReceipt(a.policy, entry, a.proofs[i])
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
		if in.Index() != uint64(i) {
			return fmt.Errorf("record %d is at index %d of the log", i, in.Index())
		}
	}
	w.find("%d of %d records: signed, chained without a gap, and in the log", len(a.entries), records)
	return w.verifyConsistency(a)
}

func (w *world) verifyConsistency(a *archive) error {
	older, err := a.checkpoint(w.path("checkpoint.early"))
	if err != nil {
		return err
	}
	newer, err := a.checkpoint(w.path("checkpoint"))
	if err != nil {
		return err
	}
	hashes, err := readHashes(w.path("consistency.json"))
	if err != nil {
		return err
	}
	if err := translog.VerifyConsistency(older, newer, hashes); err != nil {
		return err
	}
	w.find("the log of %d records continues the log of %d", newer.Size(), older.Size())
	return nil
}

func (a *archive) checkpoint(name string) (*translog.Checkpoint, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return a.policy.VerifyCheckpoint(text)
}

func readHashes(name string) ([][32]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var hashes [][32]byte
	return hashes, json.Unmarshal(text, &hashes)
}

func (w *world) readArchive() (*archive, error) {
	a := &archive{}
	text, err := os.ReadFile(w.path("log.policy"))
	if err != nil {
		return nil, err
	}
	if a.policy, err = translog.ParsePolicy(text); err != nil {
		return nil, err
	}
	if a.keys, err = readKeys(w.path("server.did.json"), w.server.did); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(w.path("receipts", "*.json"))
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	for _, name := range names {
		entry, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(name[:len(name)-len(".json")] + ".tlog-proof")
		if err != nil {
			return nil, err
		}
		proof, err := translog.ParseProof(text)
		if err != nil {
			return nil, err
		}
		a.entries, a.proofs = append(a.entries, entry), append(a.proofs, proof)
	}
	return a, nil
}

func readKeys(name string, server did.DID) (evidence.Keys, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	doc, err := did.ParseDocument(text, server)
	if err != nil {
		return nil, err
	}
	keys := evidence.Keys{}
	for _, m := range doc.Methods {
		if key, ok := m.Key.(ed25519.PublicKey); ok {
			keys[m.ID.String()] = key
		}
	}
	return keys, nil
}

// denialToAllowance is what somebody would do who wants a call to have been
// allowed: the record says so afterwards, and is well formed.
func denialToAllowance(entry []byte) []byte {
	for _, change := range []struct{ from, to string }{
		{`"capiscio.decision":"DENY"`, `"capiscio.decision":"ALLOW"`},
		{`"decision_kind":"deny"`, `"decision_kind":"allow"`},
		{`"capiscio.deny_reason":"[^"]*",`, ``},
		{`"deny_cause":"[^"]*",`, ``},
	} {
		entry = regexp.MustCompile(change.from).ReplaceAll(entry, []byte(change.to))
	}
	return entry
}

// tamperRecord rewrites a record in the archive.
func tamperRecord(_ context.Context, w *world) error {
	a, err := w.readArchive()
	if err != nil {
		return err
	}
	for i, entry := range a.entries {
		if !bytes.Contains(entry, []byte(`"capiscio.decision":"DENY"`)) {
			continue
		}
		changed := w.rewrite(bytes.Clone(entry))
		tampered := append([][]byte(nil), a.entries...)
		tampered[i] = changed
		_, err := evidence.VerifyChain(tampered, &evidence.ChainConfig{Keys: a.keys})
		if evidence.CodeOf(err) != evidence.CodeSignatureInvalid {
			return fmt.Errorf("record %d was rewritten, and the chain says %w", i, orNone(err))
		}
		w.find("record %d rewritten: the chain says %s", i, evidence.CodeOf(err))
		_, err = w.o.LogForm.VerifyReceipt(a.policy, changed, a.proofs[i])
		if translog.CodeOf(err) != translog.CodeInclusionInvalid {
			return fmt.Errorf("record %d was rewritten, and the log says %w", i, orNone(err))
		}
		w.find("record %d rewritten: the log says %s", i, translog.CodeOf(err))
		return nil
	}
	return errors.New("there is no denial to rewrite")
}

// forgeLog shows the auditor two other logs: a stranger's with the same name,
// and one of the operator's own that says something else.
func forgeLog(ctx context.Context, w *world) error {
	a, err := w.readArchive()
	if err != nil {
		return err
	}
	stranger, _, err := translog.GenerateKey("demo.example/calls")
	if err != nil {
		return err
	}
	forged := append([][]byte(nil), a.entries...)
	forged[len(forged)-1] = []byte(`{"nothing":"happened"}`)
	proof, _, err := w.makeFork(ctx, "forged-by-stranger", w.forgeKey(stranger), forged)
	if err != nil {
		return err
	}
	_, err = w.o.LogForm.VerifyReceipt(a.policy, forged[0], proof)
	if translog.CodeOf(err) != translog.CodeCheckpointSignatureInvalid {
		return fmt.Errorf("a log of another key: %w", orNone(err))
	}
	w.find("a log signed by another key: %s", translog.CodeOf(err))

	_, note, err := w.makeFork(ctx, "forked-by-operator", w.logKey, w.fork(a.entries, forged))
	if err != nil {
		return err
	}
	shown, err := a.policy.VerifyCheckpoint(note)
	if err != nil {
		return err
	}
	kept, err := a.checkpoint(w.path("checkpoint"))
	if err != nil {
		return err
	}
	err = translog.VerifyConsistency(kept, shown, nil)
	if translog.CodeOf(err) != translog.CodeForked {
		return fmt.Errorf("a second log signed by the operator: %w", orNone(err))
	}
	w.find("a second log signed by the operator's own key: %s, and both checkpoints prove it", translog.CodeOf(err))
	return nil
}

// makeFork makes a log of these entries and returns a proof of the first one
// and the checkpoint.
func (w *world) makeFork(ctx context.Context, name, skey string, entries [][]byte) (_ *translog.Proof, _ []byte, err error) {
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		return nil, nil, err
	}
	cfg := &tesseralog.Config{
		Dir: w.path(name), StatePath: w.path(name + ".state"), Signer: signer, CheckpointInterval: 200 * time.Millisecond,
	}
	if err := tesseralog.Create(ctx, cfg); err != nil {
		return nil, nil, err
	}
	log, err := tesseralog.Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	leaves := make([][]byte, len(entries))
	for i, entry := range entries {
		leaves[i] = w.o.LogForm.Leaf(entry)
	}
	if _, err := log.Append(ctx, leaves); err != nil {
		return nil, nil, err
	}
	cp, err := log.AwaitPublished(ctx, uint64(len(entries)-1))
	if err != nil {
		return nil, nil, err
	}
	proof, err := log.Prove(ctx, cp, 0)
	if err != nil {
		return nil, nil, err
	}
	return proof, cp.Note(), nil
}
