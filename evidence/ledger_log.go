package evidence

import (
	"context"

	"github.com/touchmark-dev/touchmark/translog"
)

// A LogReader is a log whose durable entries can be read back by the one who appends. It is required of
// [LedgerConfig.Log] beside its Append.
//
// Size and Entry speak of entries that are durable in the engine, published or not. After an Append that
// returned an error they must not answer before it is settled what became of its entries: an entry that
// enters the log after Size was asked would be appended twice.
type LogReader interface {
	Size(ctx context.Context) (uint64, error)
	Entry(ctx context.Context, index uint64) ([]byte, error)
}

// A Checkpointer is a log that signs checkpoints and proves them consistent. Where [LedgerConfig.Log] is one,
// the ledger keeps its last checkpoint beside the journal and refuses a log that does not continue it.
type Checkpointer interface {
	Policy() *translog.Policy
	Checkpoint(ctx context.Context) (*translog.Checkpoint, error)
	Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error)
}
