package tesseralog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

func Example() {
	base, err := os.MkdirTemp("", "tesseralog")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(base)
	skey, vkey, err := translog.GenerateKey("log.example.com/calls")
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := &tesseralog.Config{
		Dir:                filepath.Join(base, "log"),
		StatePath:          filepath.Join(base, "state", "trusted-checkpoint"),
		Signer:             signer,
		CheckpointInterval: 100 * time.Millisecond,
	}
	ctx := context.Background()
	if err := tesseralog.Create(ctx, cfg); err != nil { // once
		fmt.Println(err)
		return
	}
	log, err := tesseralog.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close(ctx)

	first, err := log.Append(ctx, [][]byte{[]byte("a record"), []byte("another")})
	if err != nil {
		fmt.Println(err)
		return
	}
	checkpoint, err := log.AwaitPublished(ctx, first+1)
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := log.Prove(ctx, checkpoint, first)
	if err != nil {
		fmt.Println(err)
		return
	}

	// Whoever holds the record, the proof and the log's key needs nothing else.
	policy, err := translog.ParsePolicy([]byte("log " + vkey + "\nquorum none\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := policy.Verify([]byte("a record"), proof)
	fmt.Println(in.Index(), in.Checkpoint().Size(), err)
	// Output: 0 2 <nil>
}
