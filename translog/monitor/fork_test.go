package monitor

import (
	"context"
	"io/fs"
	"testing"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A published source has the partial tiles of one tree alone, as a log has that did not publish the others.
type published struct {
	tlogclient.Source
	size uint64
}

func (p published) Tile(ctx context.Context, level, n uint64, partial uint8) ([]byte, error) {
	if partial > 0 && partial != layout.PartialTileSize(level, n, p.size) {
		return nil, fs.ErrNotExist
	}
	return p.Source.Tile(ctx, level, n, partial)
}

// A log that forked, and never published a tree of the size that was seen last, is found out all the same.
func TestForkWithoutTheTilesOfBefore(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(301)...)
	fork := f.log.Fork()
	for range 21 {
		f.append(f.server.next(heartbeat()))
	}
	f.want()
	other := [][]byte{}
	for range 23 {
		other = append(other, []byte("another history"))
	}
	if _, err := fork.Append(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	f.source.Source = published{fork.Source(), 324}
	f.want(Code(translog.CodeForked))
}
