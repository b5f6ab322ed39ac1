-- Times are microseconds since 1970. A migration that was released is never edited: add the next one.

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- Counters that must not have gaps, locked by whoever advances them: how many entries of the outbox have a position, and
-- how many revocations there are, with the head of their chain.
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL,
  head {{bytes}}
);
INSERT INTO counters (name, value) VALUES ('outbox', 0);

CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  disabled_at BIGINT
);

CREATE TABLE account_keys (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  secret_hash {{bytes}} NOT NULL,
  scopes TEXT NOT NULL,
  label TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX account_keys_account ON account_keys (account_id);

CREATE TABLE agents (
  did TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  key_id TEXT NOT NULL,
  hosted_name TEXT,
  level BIGINT NOT NULL,
  level_reason TEXT NOT NULL,
  level_by TEXT NOT NULL,
  domain TEXT,
  status TEXT NOT NULL,
  status_reason TEXT NOT NULL,
  status_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (kind, hosted_name)
);
CREATE INDEX agents_account ON agents (account_id, did);
CREATE INDEX agents_inactive ON agents (did) WHERE status <> 'active';

CREATE TABLE agent_keys (
  did TEXT NOT NULL REFERENCES agents (did),
  id TEXT NOT NULL,
  public_key TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (did, id)
);

CREATE TABLE ca_keys (
  id TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  active_from BIGINT NOT NULL,
  retired_at BIGINT,
  withdrawn_at BIGINT,
  reason TEXT NOT NULL
);

CREATE TABLE challenges (
  id TEXT PRIMARY KEY,
  did TEXT NOT NULL,
  account_id TEXT NOT NULL,
  nonce TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  proof_aud TEXT NOT NULL,
  htu TEXT NOT NULL,
  htm TEXT NOT NULL,
  badge_aud TEXT NOT NULL,
  badge_ttl BIGINT NOT NULL,
  level BIGINT NOT NULL,
  domain TEXT,
  used_at BIGINT
);
CREATE INDEX challenges_expiry ON challenges (expires_at);

CREATE TABLE badges (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  account_id TEXT,
  level BIGINT NOT NULL,
  assurance TEXT NOT NULL,
  domain TEXT,
  key_id TEXT NOT NULL REFERENCES ca_keys (id),
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  token_hash {{bytes}} NOT NULL,
  challenge_id TEXT,
  grant_id TEXT,
  log_position BIGINT
);
CREATE INDEX badges_subject ON badges (subject, issued_at);
CREATE INDEX badges_key ON badges (key_id, expires_at);
CREATE INDEX badges_expiry ON badges (expires_at);

-- How many badges an account was issued in each minute. The part spreads what is issued at once over several rows, which
-- one transaction has for itself until it ends.
CREATE TABLE issued (
  account_id TEXT NOT NULL,
  minute BIGINT NOT NULL,
  part BIGINT NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY (account_id, minute, part)
);
CREATE INDEX issued_minute ON issued (minute);

-- Revocations outlive the badges: the chain is kept for ever.
CREATE TABLE revocations (
  number BIGINT PRIMARY KEY,
  badge_id TEXT NOT NULL UNIQUE,
  subject TEXT NOT NULL,
  revoked_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  revoked_by TEXT NOT NULL,
  head {{bytes}} NOT NULL,
  badge_expires_at BIGINT NOT NULL
);
CREATE INDEX revocations_expiry ON revocations (badge_expires_at, number);
CREATE INDEX revocations_time ON revocations (revoked_at, number);

CREATE TABLE dv_accounts (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  domain TEXT NOT NULL,
  thumbprint TEXT NOT NULL,
  key_jwk TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  verified_at BIGINT,
  verified_via TEXT NOT NULL,
  revoked_at BIGINT,
  reason TEXT NOT NULL
);
CREATE INDEX dv_accounts_account ON dv_accounts (account_id);

CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  account_id TEXT,
  creator_key TEXT,
  dv_account_id TEXT,
  domain TEXT NOT NULL,
  type TEXT NOT NULL,
  token TEXT UNIQUE,
  thumbprint TEXT NOT NULL,
  key_jwk TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  status TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  grant_id TEXT
);
CREATE INDEX orders_domain ON orders (domain, expires_at);
CREATE INDEX orders_account ON orders (account_id, expires_at);
CREATE INDEX orders_expiry ON orders (expires_at);

CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  domain TEXT NOT NULL,
  thumbprint TEXT NOT NULL,
  account_id TEXT,
  order_id TEXT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  reason TEXT NOT NULL
);
CREATE INDEX grants_domain ON grants (domain, expires_at);

-- What may be seen once.
CREATE TABLE replays (
  replay_key TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX replays_expiry ON replays (expires_at);

-- What is counted in windows of time.
CREATE TABLE attempts (
  id {{serial}},
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  tried_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX attempts_window ON attempts (kind, subject, tried_at);
CREATE INDEX attempts_expiry ON attempts (expires_at);

CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);

-- Entries for the log. The sequence only orders the ones that have no position yet.
CREATE TABLE outbox (
  sequence {{serial}},
  position BIGINT UNIQUE,
  badge_id TEXT,
  entry {{bytes}} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (sequence) WHERE position IS NULL;
