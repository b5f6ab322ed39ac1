package translogtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// Source returns the log as its readers see it: checkpoint, tiles and bundles.
// Tests that want a source that lies put one of their own in front.
func (l *Log) Source() tlogclient.Source { return source{l} }

type source struct{ log *Log }

func (s source) Checkpoint(ctx context.Context) ([]byte, error) {
	cp, err := s.log.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return cp.Note(), nil
}

// width is the number of columns of a tile, 0 for a full one.
func width(partial uint8) uint64 {
	if partial == 0 {
		return tileWidth
	}
	return uint64(partial)
}

// has reports whether the log has the first columns of a tile, each over span entries.
func (l *Log) has(index, span uint64, partial uint8) error {
	if (index*tileWidth+width(partial))*span > uint64(len(l.entries)) {
		return fmt.Errorf("translogtest: %w", fs.ErrNotExist)
	}
	return nil
}

func (s source) Tile(_ context.Context, level, index uint64, partial uint8) ([]byte, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if err := s.log.has(index, 1<<(tileHeight*level), partial); err != nil {
		return nil, err
	}
	return tlog.ReadTileData(tlog.Tile{H: tileHeight, L: int(level), N: int64(index), W: int(width(partial))}, s.log.hashes) //nolint:gosec // in memory
}

func (s source) Entries(_ context.Context, index uint64, partial uint8) ([]byte, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if err := s.log.has(index, 1, partial); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, e := range s.log.entries[index*tileWidth:][:width(partial)] {
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(e)))) //nolint:gosec // CheckEntries
		b.Write(e)
	}
	return b.Bytes(), nil
}
