package tlogclient_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// An auditor reads a log from its tiles and keeps the proof as a file.
func Example() {
	dir, policy := exampleLog()
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := tlogclient.New(tlogclient.Dir(dir), policy)
	cp, err := c.Checkpoint(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := c.ProveEntry(ctx, cp, []byte("a record"), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := proof.MarshalText()
	fmt.Printf("%.30s ... %v\n", file, err)
	// Output:
	// c2sp.org/tlog-proof@v1
	// index 0 ... <nil>
}

// exampleLog writes the tiles of a log with one entry: its leaf hash and itself.
func exampleLog() (dir string, policy *translog.Policy) {
	ctx := context.Background()
	log := translogtest.NewLog("log.example.com/calls")
	record := []byte("a record")
	_, _ = log.Append(ctx, [][]byte{record})
	cp, _ := log.Checkpoint(ctx)
	leaf := translog.LeafHash(record)
	dir, _ = os.MkdirTemp("", "tlogclient")
	for path, data := range map[string][]byte{
		"checkpoint":           cp.Note(),
		"tile/0/000.p/1":       leaf[:],
		"tile/entries/000.p/1": append(binary.BigEndian.AppendUint16(nil, uint16(len(record))), record...),
	} {
		path = filepath.Join(dir, path)
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		_ = os.WriteFile(path, data, 0o600)
	}
	return dir, log.Policy()
}
