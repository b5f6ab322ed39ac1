package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// AddAgent registers a subject; Keys may be left empty, which means its PublicKey alone. ErrExists (the DID, or the
// hosted name within the kind), ErrNotFound and ErrInactive (the account).
func (s *Store) AddAgent(ctx context.Context, a *Agent, act Act) error {
	if a.Kind != KindAgent && a.Kind != KindServer || !isStatus(a.Status) || a.Level < 1 || a.Level > 4 {
		return fmt.Errorf("store: agent %q has kind %q, status %q, level %d", a.DID, a.Kind, a.Status, a.Level)
	}
	keys := a.Keys
	if len(keys) == 0 {
		keys = []AgentKey{{ID: a.KeyID, PublicKey: a.PublicKey, CreatedAt: a.CreatedAt}}
	}
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := holdAccount(ctx, tx, a.AccountID); err != nil {
			return err
		}
		if err := insertAgent(ctx, tx, a); err != nil {
			return err
		}
		for i := range keys {
			if err := insertAgentKey(ctx, tx, a.DID, &keys[i]); err != nil {
				return err
			}
		}
		return requireAgentKey(ctx, tx, a.DID, a.KeyID)
	})
}

func isStatus(s string) bool { return s == StatusActive || s == StatusDisabled || s == StatusSuspended }

func insertAgent(ctx context.Context, tx *sqlstore.Tx, a *Agent) error {
	created := sqlstore.Micros(a.CreatedAt)
	return insert(ctx, tx, "agent", a.DID, `INSERT INTO agents (did, kind, account_id, key_id, hosted_name, level,
		level_reason, level_by, domain, status, status_reason, status_at, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.DID, a.Kind, a.AccountID, a.KeyID, sqlstore.Text(a.HostedName), a.Level, a.LevelReason, a.LevelBy,
		sqlstore.Text(a.Domain), a.Status, a.StatusReason, created, created, created)
}

func insertAgentKey(ctx context.Context, tx *sqlstore.Tx, did string, k *AgentKey) error {
	return insert(ctx, tx, "agent key", k.ID, `INSERT INTO agent_keys (did, id, public_key, created_at)
		VALUES (?, ?, ?, ?)`, did, k.ID, string(k.PublicKey), sqlstore.Micros(k.CreatedAt))
}

func requireAgentKey(ctx context.Context, tx *sqlstore.Tx, did, id string) error {
	var n int
	err := tx.Row(ctx, `SELECT count(*) FROM agent_keys WHERE did = ? AND id = ?`, did, id).Scan(&n)
	if err == nil && n == 0 {
		return refuse("agent key", id, ErrNotFound)
	}
	return err
}

const agentColumns = `SELECT a.did, a.kind, a.account_id, a.key_id, a.hosted_name, a.level, a.level_reason, a.level_by,
	a.domain, a.status, a.status_reason, a.status_at, a.created_at, a.updated_at, k.public_key`

const (
	agentTables  = ` FROM agents a JOIN agent_keys k ON `
	agentWithKey = agentColumns + agentTables + `k.did = a.did AND k.id = a.key_id `
)

func scanAgent(row scanner, a *Agent) error {
	var key string
	err := row.Scan(&a.DID, &a.Kind, &a.AccountID, &a.KeyID, sqlstore.String(&a.HostedName), &a.Level, &a.LevelReason,
		&a.LevelBy, sqlstore.String(&a.Domain), &a.Status, &a.StatusReason, sqlstore.Time(&a.StatusAt),
		sqlstore.Time(&a.CreatedAt), sqlstore.Time(&a.UpdatedAt), &key)
	a.PublicKey = []byte(key)
	return err
}

// Agent: ErrNotFound.
func (s *Store) Agent(ctx context.Context, did string) (*Agent, error) {
	return s.agent(ctx, did, `WHERE a.did = ?`, did)
}

// HostedAgent returns the agent of a kind whose document is hosted under a name: ErrNotFound.
func (s *Store) HostedAgent(ctx context.Context, kind, name string) (*Agent, error) {
	return s.agent(ctx, name, `WHERE a.kind = ? AND a.hosted_name = ?`, kind, name)
}

// agent reads an agent with all its keys, in one query.
func (s *Store) agent(ctx context.Context, id, where string, args ...any) (*Agent, error) {
	rows, err := s.db.Rows(ctx, agentColumns+`, k.id, k.created_at`+agentTables+`k.did = a.did `+where+
		` ORDER BY k.created_at, k.id`, args...)
	var a Agent
	var used []byte
	keys, err := collect(rows, err, func(row scanner, k *AgentKey) error {
		err := scanAgent(withMore{row, []any{&k.ID, sqlstore.Time(&k.CreatedAt)}}, &a)
		if k.PublicKey = a.PublicKey; k.ID == a.KeyID {
			used = a.PublicKey
		}
		return err
	})
	if err == nil && len(keys) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return nil, found("agent", id, err)
	}
	a.Keys, a.PublicKey = keys, used
	return &a, nil
}

// withMore is a row with more columns than its reader knows.
type withMore struct {
	scanner
	more []any
}

func (w withMore) Scan(dest ...any) error { return w.scanner.Scan(append(dest, w.more...)...) }

// Agents returns at most limit agents, in the order of their DIDs, after the DID after; of one account unless
// account is empty. Their Keys are not filled in.
func (s *Store) Agents(ctx context.Context, account, after string, limit int) ([]Agent, error) {
	if account == "" {
		rows, err := s.db.Rows(ctx, agentWithKey+`WHERE a.did > ? ORDER BY a.did LIMIT ?`, after, limit)
		return collect(rows, err, scanAgent)
	}
	rows, err := s.db.Rows(ctx, agentWithKey+`WHERE a.account_id = ? AND a.did > ? ORDER BY a.did LIMIT ?`,
		account, after, limit)
	return collect(rows, err, scanAgent)
}

// SetAgentStatus: ErrNotFound. Setting the status that it has is not refused, and is logged again.
func (s *Store) SetAgentStatus(ctx context.Context, c *StatusChange, act Act) error {
	if !isStatus(c.Status) {
		return fmt.Errorf("store: %q is not the status of an agent", c.Status)
	}
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		at := sqlstore.Micros(act.At)
		return updateAgent(ctx, tx, c.DID, `UPDATE agents SET status = ?, status_reason = ?, status_at = ?,
			updated_at = ? WHERE did = ?`, c.Status, c.Reason, at, at, c.DID)
	})
}

// A StatusChange is a status to be set.
type StatusChange struct{ DID, Status, Reason string }

// A LevelGrant is what an administrator or a validation grants an agent.
type LevelGrant struct {
	DID    string
	Level  int    // 1 to 4
	Domain string // from level 2
	Reason string
}

// GrantLevel sets what level an agent may have, and for which domain, by act.By: ErrNotFound. A challenge that was
// made for more is of no use from then on.
func (s *Store) GrantLevel(ctx context.Context, g *LevelGrant, act Act) error {
	if g.Level < 1 || g.Level > 4 {
		return fmt.Errorf("store: %d is not a level that can be granted", g.Level)
	}
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		return updateAgent(ctx, tx, g.DID, `UPDATE agents SET level = ?, domain = ?, level_reason = ?, level_by = ?,
			updated_at = ? WHERE did = ?`, g.Level, sqlstore.Text(g.Domain), g.Reason, act.By, sqlstore.Micros(act.At), g.DID)
	})
}

// updateAgent runs an UPDATE of one agent.
func updateAgent(ctx context.Context, tx *sqlstore.Tx, did, query string, args ...any) error {
	n, err := tx.Exec(ctx, query, args...)
	if err == nil && n == 0 {
		return refuse("agent", did, ErrNotFound)
	}
	return err
}

// touchAgent locks the row of an agent and notes the time of a change.
func touchAgent(ctx context.Context, tx *sqlstore.Tx, did string, at time.Time) error {
	return updateAgent(ctx, tx, did, `UPDATE agents SET updated_at = ? WHERE did = ?`, sqlstore.Micros(at), did)
}

// MaxAgentKeys is how many keys an agent may have.
const MaxAgentKeys = 8

// AddAgentKey publishes one more key of an agent: ErrNotFound, ErrExists, ErrConflict (it has MaxAgentKeys).
func (s *Store) AddAgentKey(ctx context.Context, did string, k *AgentKey, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := touchAgent(ctx, tx, did, act.At); err != nil {
			return err
		}
		var n int
		if err := tx.Row(ctx, `SELECT count(*) FROM agent_keys WHERE did = ?`, did).Scan(&n); err != nil {
			return err
		}
		if n >= MaxAgentKeys {
			return refuse("agent with all its keys", did, ErrConflict)
		}
		return insertAgentKey(ctx, tx, did, k)
	})
}

// An AgentKeyRef names a published key of an agent.
type AgentKeyRef struct{ DID, KeyID string }

// UseAgentKey makes one of an agent's published keys the one that badges are issued for: ErrNotFound.
func (s *Store) UseAgentKey(ctx context.Context, ref AgentKeyRef, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := touchAgent(ctx, tx, ref.DID, act.At); err != nil {
			return err
		}
		if err := requireAgentKey(ctx, tx, ref.DID, ref.KeyID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE agents SET key_id = ? WHERE did = ?`, ref.KeyID, ref.DID)
		return err
	})
}

// RemoveAgentKey takes a key from the published ones: ErrNotFound, ErrConflict (it is the one in use).
func (s *Store) RemoveAgentKey(ctx context.Context, ref AgentKeyRef, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := touchAgent(ctx, tx, ref.DID, act.At); err != nil {
			return err
		}
		var used string
		if err := tx.Row(ctx, `SELECT key_id FROM agents WHERE did = ?`, ref.DID).Scan(&used); err != nil {
			return err
		}
		if used == ref.KeyID {
			return refuse("agent key in use", ref.KeyID, ErrConflict)
		}
		n, err := tx.Exec(ctx, `DELETE FROM agent_keys WHERE did = ? AND id = ?`, ref.DID, ref.KeyID)
		if err == nil && n == 0 {
			return refuse("agent key", ref.KeyID, ErrNotFound)
		}
		return err
	})
}
