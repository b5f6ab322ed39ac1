package tesseralog

import (
	"context"
	"fmt"
	"testing"

	"github.com/transparency-dev/tessera"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A judged directory has a checkpoint of its own, and tells each time it is read.
type judged struct {
	tlogclient.Source
	published []byte
	read      func()
}

func (j *judged) Checkpoint(context.Context) ([]byte, error) {
	j.read()
	return j.published, nil
}

func (j *judged) Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	j.read()
	return j.Source.Tile(ctx, level, index, partial)
}

type sized struct {
	tessera.LogReader
	size uint64
}

func (s sized) IntegratedSize(context.Context) (uint64, error) { return s.size, nil }

// TestNothingIsSignedWhileItIsJudged: Tessera asks for a signature whenever its interval has passed, and would replace the
// published checkpoint, which shows a fork.
func TestNothingIsSignedWhileItIsJudged(t *testing.T) {
	skey, _, err := translog.GenerateKey("log.example/judged")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	honest, fork := translogtest.NewLogFor(signer), translogtest.NewLogFor(signer)
	for i, l := range []*translogtest.Log{honest, fork} {
		for n := range 300 - 298*i {
			if _, err := l.Append(t.Context(), [][]byte{fmt.Appendf(nil, "history %d, entry %d", i, n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	trusted, err := honest.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forked, err := fork.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		published *translog.Checkpoint
		code      translog.Code
	}{"a fork": {forked, translog.CodeConsistencyInvalid}, "what was signed": {trusted, ""}} {
		t.Run(name, func(t *testing.T) {
			source, reads := &judged{Source: honest.Source(), published: c.published.Note()}, 0
			l := &Log{client: tlogclient.New(source, honest.Policy()), reader: sized{size: trusted.Size()}}
			if l.guard, err = signing.New(signer, signing.File(t.TempDir()+"/state"), l.client, trusted); err != nil {
				t.Fatal(err)
			}
			source.read = func() {
				reads++
				if _, err := l.guard.SignTree(trusted.Tree()); err == nil {
					t.Error("it was signed before all was judged")
				}
			}
			if _, err := l.admit(t.Context()); translog.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
				t.Errorf("admitted: %v, want %q", err, c.code)
			}
			if reads == 0 {
				t.Error("nothing was read")
			}
			if _, err := l.guard.SignTree(trusted.Tree()); (err == nil) != (c.code == "") {
				t.Errorf("signed then: %v", err)
			}
		})
	}
}
