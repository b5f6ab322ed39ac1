package witness_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/witness"
)

// A witness cosigns a log's checkpoint, and refuses another tree of the same size.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// cosigned: true
	// LOG_FORKED
}

func example() error {
	dir, err := os.MkdirTemp("", "witness")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	logKey, err := newKey("log.example/calls")
	if err != nil {
		return err
	}
	own, err := newKey("w.example/1")
	if err != nil {
		return err
	}
	key, err := witness.NewKey(own)
	if err != nil {
		return err
	}
	logs, err := translog.ParsePolicy([]byte("log " + logKey.VerifierKey() + "\nquorum none\n"))
	if err != nil {
		return err
	}
	cfg := &witness.Config{Dir: filepath.Join(dir, "w1"), Key: key, Logs: logs}
	if err := witness.Create(cfg.Dir, key); err != nil { // once
		return err
	}
	w, err := witness.Open(cfg) // and then serve it: w is an http.Handler
	if err != nil {
		return err
	}
	defer w.Close()

	one, err := sign(logKey, translog.LeafHash([]byte("one")))
	if err != nil {
		return err
	}
	line, err := w.Cosign(&witness.Request{Checkpoint: one})
	if err != nil {
		return err
	}
	readers, err := translog.ParsePolicy([]byte("log " + logKey.VerifierKey() + "\nwitness w " + key.VerifierKey() + "\nquorum w\n"))
	if err != nil {
		return err
	}
	_, err = readers.VerifyCheckpoint(append(one, line...))
	fmt.Println("cosigned:", err == nil)

	other, err := sign(logKey, translog.LeafHash([]byte("other")))
	if err != nil {
		return err
	}
	_, err = w.Cosign(&witness.Request{Old: 1, Checkpoint: other})
	if err == nil {
		return errors.New("a fork was cosigned")
	}
	fmt.Println(translog.CodeOf(err))
	return nil
}

func newKey(name string) (*translog.Signer, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return translog.NewSigner(name, private)
}

// sign makes the checkpoint of a log with one entry.
func sign(key *translog.Signer, leaf [32]byte) ([]byte, error) {
	text := log.Checkpoint{Origin: key.Name(), Size: 1, Hash: leaf[:]}.Marshal() // the root of one entry is its leaf hash
	return note.Sign(&note.Note{Text: string(text)}, key)
}
