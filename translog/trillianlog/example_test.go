package trillianlog_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// A log is begun once, in a tree of its own, and opened at each start.
func Example() {
	begin := func(ctx context.Context, signer *translog.Signer) (*trillianlog.Log, error) {
		cfg := &trillianlog.Config{
			Server: "trillian.internal:8090", TLS: &tls.Config{MinVersion: tls.VersionTLS13},
			Dir: "tiles", StatePath: "trusted", Signer: signer,
		}
		tree, err := trillianlog.CreateTree(ctx, cfg, "calls")
		if err != nil {
			return nil, err
		}
		cfg.Tree = tree // keep it with the configuration
		if err := trillianlog.Create(ctx, cfg); err != nil {
			return nil, err
		}
		return trillianlog.Open(ctx, cfg)
	}
	_ = begin

	_, err := trillianlog.Open(context.Background(), &trillianlog.Config{Server: "trillian.internal:8090"})
	fmt.Println(err)
	// Output: trillianlog: Config needs the address of a Server and the id of a Tree
}
