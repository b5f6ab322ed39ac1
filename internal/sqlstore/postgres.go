package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const postgresConns = 16

// postgresSettings hold for the session unless the URL sets them: a node that hangs must not hold up the others.
func postgresSettings() map[string]string {
	return map[string]string{
		"application_name":                    "touchmark",
		"default_transaction_isolation":       "read committed",
		"idle_in_transaction_session_timeout": "30s",
		"lock_timeout":                        "10s",
		"statement_timeout":                   "30s",
		"synchronous_commit":                  "on",
	}
}

func openPostgreSQL(ctx context.Context, url string) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	noFsync := config.RuntimeParams["unsafe_no_fsync"] == "true"
	delete(config.RuntimeParams, "unsafe_no_fsync")
	for name, value := range postgresSettings() {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	if err := checkPostgreSQL(ctx, pool, noFsync); err != nil {
		return nil, errors.Join(fmt.Errorf("database %q on %q: %w", config.Database, config.Host, err), pool.Close())
	}
	return &DB{dialect: PostgreSQL, write: pool, read: pool}, nil
}

func checkPostgreSQL(ctx context.Context, pool *sql.DB, noFsync bool) error {
	var fsync, commit, isolation string
	err := pool.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('default_transaction_isolation')`).Scan(&fsync, &commit, &isolation)
	switch {
	case err != nil:
		return err
	case fsync != "on" && !noFsync:
		return fmt.Errorf("the server runs with fsync=%s: committed transactions could be lost; set it on", fsync)
	case commit == "off":
		return errors.New("synchronous_commit=off: committed transactions could be lost; remove it from the URL")
	case isolation != "read committed":
		return fmt.Errorf("default_transaction_isolation is %q: remove it from the URL", isolation)
	}
	return nil
}
