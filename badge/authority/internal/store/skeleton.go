package store

import (
	"context"
	"errors"
	"time"
)

var errSkeleton = errors.New("store: not written yet")

// A Store is one process's access to the database. It is safe for concurrent use.
type Store struct{}

// Open opens, and if needed makes or migrates, the database at url: "sqlite:PATH" or "postgres://...". It refuses one
// that a newer version of the program has migrated.
func Open(ctx context.Context, url string) (*Store, error) { return nil, errSkeleton }

// Close releases the connections.
func (s *Store) Close() error { return errSkeleton }

// Ping returns nil when the database answers.
func (s *Store) Ping(ctx context.Context) error { return errSkeleton }

// BindIssuer records, the first time, whose database this is, and refuses another issuer later (ErrConflict). Call
// it once after Open: the chain of revocations begins with the issuer's name.
func (s *Store) BindIssuer(ctx context.Context, issuer string) error { return errSkeleton }

// AddAccount: ErrExists.
func (s *Store) AddAccount(ctx context.Context, a *Account, act Act) error { return errSkeleton }

// Account: ErrNotFound.
func (s *Store) Account(ctx context.Context, id string) (*Account, error) { return nil, errSkeleton }

// Accounts returns all accounts, oldest first.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) { return nil, errSkeleton }

// DisableAccount stops an account, its keys and the issuance for its agents: ErrNotFound, ErrConflict (disabled
// already). EnableAccount ends that.
func (s *Store) DisableAccount(ctx context.Context, id string, act Act) error { return errSkeleton }

// EnableAccount ends what DisableAccount began: ErrNotFound, ErrConflict (not disabled).
func (s *Store) EnableAccount(ctx context.Context, id string, act Act) error { return errSkeleton }

// AddAccountKey: ErrExists, ErrNotFound (the account), ErrInactive (the account).
func (s *Store) AddAccountKey(ctx context.Context, k *AccountKey, act Act) error { return errSkeleton }

// RotateAccountKey adds next, a key of the same account, and lets old end at until (if it does not end sooner).
// Refusals: those of AddAccountKey, and ErrNotFound, ErrRevoked, ErrOwner for old.
func (s *Store) RotateAccountKey(ctx context.Context, old string, until time.Time, next *AccountKey, act Act) error {
	return errSkeleton
}

// RevokeAccountKey: ErrNotFound, ErrRevoked (before).
func (s *Store) RevokeAccountKey(ctx context.Context, id string, act Act) error { return errSkeleton }

// AccountKey returns a key whatever its state, with its account's: ErrNotFound. The caller compares the hash, and
// judges ExpiresAt, RevokedAt and AccountDisabledAt.
func (s *Store) AccountKey(ctx context.Context, id string) (*AccountKey, error) {
	return nil, errSkeleton
}

// AccountKeys returns all keys of an account, oldest first.
func (s *Store) AccountKeys(ctx context.Context, account string) ([]AccountKey, error) {
	return nil, errSkeleton
}

// AddAgent registers a subject; Keys may be left empty, which means its PublicKey alone: ErrExists (the DID, or the
// hosted name within the kind), ErrNotFound and ErrInactive (the account).
func (s *Store) AddAgent(ctx context.Context, a *Agent, act Act) error { return errSkeleton }

// Agent: ErrNotFound.
func (s *Store) Agent(ctx context.Context, did string) (*Agent, error) { return nil, errSkeleton }

// HostedAgent returns the agent of a kind whose document is hosted under a name: ErrNotFound.
func (s *Store) HostedAgent(ctx context.Context, kind, name string) (*Agent, error) {
	return nil, errSkeleton
}

// Agents returns at most limit agents, in the order of their DIDs, after the DID after; of one account unless
// account is empty. Their Keys are not filled in.
func (s *Store) Agents(ctx context.Context, account, after string, limit int) ([]Agent, error) {
	return nil, errSkeleton
}

// SetAgentStatus: ErrNotFound. Setting the status that it has is not refused, and is logged again.
func (s *Store) SetAgentStatus(ctx context.Context, did, status, reason string, act Act) error {
	return errSkeleton
}

// GrantLevel sets what level an agent may have, and for which domain, by act.By: ErrNotFound. A challenge made for a
// higher level is refused from then on.
func (s *Store) GrantLevel(ctx context.Context, g *LevelGrant, act Act) error { return errSkeleton }

// A LevelGrant is what an administrator or a validation grants an agent.
type LevelGrant struct {
	DID    string
	Level  int
	Domain string
	Reason string
}

// AddAgentKey publishes one more key of an agent: ErrNotFound, ErrExists.
func (s *Store) AddAgentKey(ctx context.Context, did string, k *AgentKey, act Act) error {
	return errSkeleton
}

// UseAgentKey makes one of an agent's published keys the one that badges are issued for: ErrNotFound.
func (s *Store) UseAgentKey(ctx context.Context, did, keyID string, act Act) error {
	return errSkeleton
}

// RemoveAgentKey takes a key from the published ones: ErrNotFound, ErrConflict (it is the one in use).
func (s *Store) RemoveAgentKey(ctx context.Context, did, keyID string, act Act) error {
	return errSkeleton
}

// AddChallenge stores a challenge. It is no act: nothing is logged. ErrNotFound (the agent), ErrInactive, ErrOwner,
// ErrLevel as Issue has them.
func (s *Store) AddChallenge(ctx context.Context, c *Challenge) error { return errSkeleton }

// Challenge returns a challenge whatever its state: ErrNotFound.
func (s *Store) Challenge(ctx context.Context, id string) (*Challenge, error) {
	return nil, errSkeleton
}

// Issue records a signed badge, if it may still be handed out, all in one transaction:
//
//   - with Badge.ChallengeID, the challenge is of that subject and is used now: ErrNotFound, ErrUsed, ErrExpired;
//   - with Badge.GrantID, the grant is of that domain and neither revoked nor over, and Replay is used now:
//     ErrNotFound, ErrRevoked, ErrExpired, ErrLevel (domain), ErrUsed. The subject need not be registered, but when it
//     is it must be active;
//   - without a grant the subject is registered, active, of that account, whose state is active too, and has that level
//     and domain: ErrNotFound, ErrInactive, ErrOwner, ErrLevel;
//   - the authority's key signs: ErrNotFound, ErrRevoked (retired or withdrawn), ErrConflict (not active yet);
//   - the limits of the subject and the account allow one more: *LimitError.
//
// Badge.IssuedAt is the time for which all that is judged. After any error the badge must be thrown away.
func (s *Store) Issue(ctx context.Context, i *Issuance) error { return errSkeleton }

// Badge: ErrNotFound, also some time after it has expired.
func (s *Store) Badge(ctx context.Context, id string) (*Badge, error) { return nil, errSkeleton }

// BadgeStatus: ErrNotFound. A badge that was revoked and forgotten since still answers, with little but the ID,
// Subject, ExpiresAt and the Revocation.
func (s *Store) BadgeStatus(ctx context.Context, id string) (*BadgeStatus, error) {
	return nil, errSkeleton
}

// BadgesOf returns the latest badges of a subject, newest first.
func (s *Store) BadgesOf(ctx context.Context, subject string, limit int) ([]Badge, error) {
	return nil, errSkeleton
}

// Revoke revokes a badge and returns its revocation; when it was revoked before, that one, and nothing is changed or
// logged. ErrNotFound.
func (s *Store) Revoke(ctx context.Context, badgeID, reason string, act Act) (*Revocation, error) {
	return nil, errSkeleton
}

// Revocations returns at most limit revocations after number since, in order. A number beyond the last is
// ErrNotFound: the caller has seen more than this database ever had.
func (s *Store) Revocations(ctx context.Context, since uint64, limit int) ([]Revocation, error) {
	return nil, errSkeleton
}

// RevocationsSince returns the number of the last revocation before t, from which Revocations continues.
func (s *Store) RevocationsSince(ctx context.Context, t time.Time) (uint64, error) {
	return 0, errSkeleton
}

// RevocationSnapshot returns what a revocation list as of now states.
func (s *Store) RevocationSnapshot(ctx context.Context, now time.Time) (*RevocationSnapshot, error) {
	return nil, errSkeleton
}

// OrderLimits bound the orders of which nothing has become yet; 0 means 5 for a domain and 20 for an account.
type OrderLimits struct{ PerDomain, PerAccount int }

// AddOrder stores an order, pending or ready: ErrExists, *LimitError; for a persistent account ErrNotFound, ErrOwner,
// ErrRevoked, ErrConflict (not verified).
func (s *Store) AddOrder(ctx context.Context, o *Order, limits OrderLimits, act Act) error {
	return errSkeleton
}

// Order: ErrNotFound.
func (s *Store) Order(ctx context.Context, id string) (*Order, error) { return nil, errSkeleton }

// TryOrder counts one attempt to finalize an order and returns it: ErrNotFound, ErrUsed (valid already), ErrConflict
// (invalid), ErrExpired, *LimitError when attempts have been made max times.
func (s *Store) TryOrder(ctx context.Context, id string, max int, now time.Time) (*Order, error) {
	return nil, errSkeleton
}

// FailOrder gives an order up: ErrNotFound, ErrConflict (decided already).
func (s *Store) FailOrder(ctx context.Context, id string, act Act) error { return errSkeleton }

// AddGrant issues the grant of an order, which becomes valid by it: ErrNotFound, ErrExpired, ErrUsed, ErrConflict
// (order invalid, or of another domain or key), ErrExists, and ErrOwner when another account has a grant for the domain
// that is neither over nor revoked.
func (s *Store) AddGrant(ctx context.Context, g *Grant, act Act) error { return errSkeleton }

// Grant: ErrNotFound.
func (s *Store) Grant(ctx context.Context, id string) (*Grant, error) { return nil, errSkeleton }

// GrantsOf returns the grants for a domain, newest first.
func (s *Store) GrantsOf(ctx context.Context, domain string) ([]Grant, error) {
	return nil, errSkeleton
}

// RevokeGrant revokes a grant and returns it; when it was revoked before nothing is changed or logged. ErrNotFound.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string, act Act) (*Grant, error) {
	return nil, errSkeleton
}

// MaxDVAccounts is how many persistent accounts that are not revoked an account may have.
const MaxDVAccounts = 100

// AddDVAccount stores a persistent account, pending: ErrExists, ErrNotFound, ErrInactive (the account), *LimitError.
func (s *Store) AddDVAccount(ctx context.Context, d *DVAccount, act Act) error { return errSkeleton }

// DVAccount: ErrNotFound.
func (s *Store) DVAccount(ctx context.Context, id string) (*DVAccount, error) {
	return nil, errSkeleton
}

// VerifyDVAccount marks a persistent account verified by via: ErrNotFound, ErrRevoked.
func (s *Store) VerifyDVAccount(ctx context.Context, id, via string, act Act) error {
	return errSkeleton
}

// RecoverDVAccount gives a persistent account to another account: ErrNotFound, ErrRevoked, ErrInactive.
func (s *Store) RecoverDVAccount(ctx context.Context, id, account string, act Act) error {
	return errSkeleton
}

// RevokeDVAccount: ErrNotFound, ErrRevoked (before). Grants are left as they are.
func (s *Store) RevokeDVAccount(ctx context.Context, id, reason string, act Act) error {
	return errSkeleton
}

// AddCAKey publishes a signing key: ErrExists.
func (s *Store) AddCAKey(ctx context.Context, k *CAKey, act Act) error { return errSkeleton }

// CAKeys returns all signing keys, oldest first.
func (s *Store) CAKeys(ctx context.Context) ([]CAKey, error) { return nil, errSkeleton }

// RetireCAKey lets a key sign no more: ErrNotFound, ErrRevoked (retired or withdrawn before). When it returns, no
// issuance with the key is under way in any process.
func (s *Store) RetireCAKey(ctx context.Context, id string, act Act) error { return errSkeleton }

// WithdrawCAKey says that nothing a key signed is to be believed: ErrNotFound, ErrRevoked (withdrawn before).
func (s *Store) WithdrawCAKey(ctx context.Context, id, reason string, act Act) error {
	return errSkeleton
}

// Allow counts one attempt at at, if fewer than w.Max were counted within w.Length before it: *LimitError. The
// windows are the same for all processes.
func (s *Store) Allow(ctx context.Context, w *Window, at time.Time) error { return errSkeleton }

// UseProof remembers that a proof was seen: ErrUsed when it was seen before. Issue does that itself for minting.
func (s *Store) UseProof(ctx context.Context, r *Replay) error { return errSkeleton }

// Lease gives the named role, such as that of shipping the log, to holder until now+length, if nobody else has it, and
// reports whether holder has it. Renew it well before it ends; ending it early is a length of 0.
func (s *Store) Lease(ctx context.Context, l *Lease, now time.Time) (bool, error) {
	return false, errSkeleton
}

// A Lease is a role that one process has for a time. It spares work; what must be exact does not depend on it.
type Lease struct {
	Name, Holder string
	Length       time.Duration
}

// ClaimOutbox gives the oldest entries without a position the next positions and returns, in order, at most n
// entries whose position is next or more. next is the size of the log as the caller sees it: append what is returned,
// ask again with the new size. After a crash or a failed append the same call returns the same entries again, so that
// the log is always a prefix of the entries that have positions, each once; that takes a log with one writer, which
// the log's own lock or a [Store.Lease] provides. ErrConflict: next is more than what was ever given out, or the
// entries at next were pruned; the database or the log was restored from an old copy.
func (s *Store) ClaimOutbox(ctx context.Context, next uint64, n int) ([]Outboxed, error) {
	return nil, errSkeleton
}

// Unshipped returns how many entries have a position of next or more, or none yet, and the time of the oldest.
func (s *Store) Unshipped(ctx context.Context, next uint64) (n int, oldest time.Time, err error) {
	return 0, time.Time{}, errSkeleton
}

// Prune is what may be forgotten.
type Prune struct {
	Now time.Time
	// Badges is how long a badge is remembered after it has expired; at least a day, which 0 means.
	Badges time.Duration
	// Shipped is the size of the log that is durable: entries before it are dropped when they are older than Badges.
	Shipped uint64
}

// Prune forgets, a bounded number of rows at a time, challenges an hour after their end, orders a day after theirs,
// badges and shipped entries as p says, and what proofs and attempts no longer matter. Revocations are kept for ever.
// It returns how many rows it removed; call it again until that is 0.
func (s *Store) Prune(ctx context.Context, p *Prune) (int64, error) { return 0, errSkeleton }
