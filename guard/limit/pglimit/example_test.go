package pglimit_test

import (
	"context"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit/pglimit"
)

// Nodes that answer for one server count together: each gives its guard the same database.
func Example() {
	share := func(ctx context.Context, cfg guard.Config) (*guard.Guard, error) {
		limiter, err := pglimit.Open(ctx, "postgres://guard@db.internal/limits?sslmode=verify-full", nil)
		if err != nil {
			return nil, err
		}
		cfg.Limiter = limiter // and limiter.Close when the guard is done with
		return guard.New(&cfg)
	}
	_ = share
}
