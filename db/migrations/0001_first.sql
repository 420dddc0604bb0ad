-- One text for both engines: TEXT, BIGINT (epoch milliseconds, counts) and BYTEA; what SQLite alone reads stands in
-- comments that begin with /*sqlite. Status is never stored: it is computed from the times (design rule 3).

-- What owns resources and limits: a human's account, known by its proven mailbox, or an agent's own.
CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,               -- human, agent
  mailbox TEXT,                     -- canonical; humans only
  parent_id TEXT,                   -- the owner's account of a linked agent
  merged_into TEXT,                 -- where this account's agent went
  created_at BIGINT NOT NULL,
  ended_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE UNIQUE INDEX accounts_mailbox ON accounts (mailbox) WHERE mailbox IS NOT NULL;

-- The software principal; works in exactly one account at a time.
CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  merged_from TEXT,                 -- the account it had of its own before a merge
  registration_id TEXT NOT NULL,
  name TEXT,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
) /*sqlite WITHOUT ROWID*/;

-- That an agent arrived, and how. The agent of an asserted mailbox exists only once that is proven.
CREATE TABLE registrations (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,               -- anonymous, identity_assertion
  agent_id TEXT,
  agent_name TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,       -- when it ends unless claimed
  claimed_at BIGINT,
  mode TEXT                         -- merge, link; once claimed
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX registrations_expiry ON registrations (expires_at) WHERE claimed_at IS NULL;

-- The right to have a registration claimed; asked by the hash of the claim token.
CREATE TABLE claims (
  token_hash BYTEA PRIMARY KEY,
  registration_id TEXT NOT NULL REFERENCES registrations (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  codes BIGINT NOT NULL DEFAULT 0,  -- codes asked for, over its whole life
  guesses BIGINT NOT NULL DEFAULT 0,
  claimed_at BIGINT,
  ended_at BIGINT,
  end_reason TEXT                   -- superseded, revoked
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX claims_registration ON claims (registration_id);

-- One run of the ceremony: one mailbox, one mode, one code. The code itself is nowhere; it is computed from these
-- columns and the service secret.
CREATE TABLE claim_attempts (
  id TEXT PRIMARY KEY,
  registration_id TEXT NOT NULL REFERENCES registrations (id),
  mailbox TEXT NOT NULL,
  mode TEXT NOT NULL,               -- merge, link
  origin TEXT NOT NULL,             -- coarse network of whoever asked
  secret_id TEXT NOT NULL,
  counter BIGINT NOT NULL,          -- the number of the code
  code_expires_at BIGINT NOT NULL,
  tries BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  end_reason TEXT                   -- superseded, completed, revoked
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX claim_attempts_registration ON claim_attempts (registration_id);
CREATE INDEX claim_attempts_mailbox ON claim_attempts (mailbox) WHERE ended_at IS NULL;

-- Keys, asked by the hash of the secret. A key works in the account it was made for, also after its agent moved on.
CREATE TABLE credentials (
  hash BYTEA PRIMARY KEY,
  id TEXT NOT NULL,
  agent_id TEXT NOT NULL REFERENCES agents (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  name TEXT,
  scope TEXT NOT NULL,
  resources TEXT,                   -- URLs separated by spaces; none: every resource
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  last_used_at BIGINT,
  retires_others BIGINT NOT NULL DEFAULT 0, -- 1: its first use ends the keys it supersedes
  superseded_by TEXT
) /*sqlite WITHOUT ROWID*/;
CREATE UNIQUE INDEX credentials_id ON credentials (id);
CREATE INDEX credentials_agent ON credentials (agent_id);

-- Mail that must leave. It is rendered when it is sent, so no code is in here.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,               -- claim_code
  attempt_id TEXT,
  mailbox TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  next_at BIGINT NOT NULL,          -- when to try next; while a worker sends, until when it may
  tries BIGINT NOT NULL DEFAULT 0,
  give_up_at BIGINT NOT NULL,
  sent_at BIGINT,
  dead_at BIGINT,
  error TEXT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX outbox_due ON outbox (next_at) WHERE sent_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_attempt ON outbox (attempt_id);

-- Budgets: how much of a window is used.
CREATE TABLE counters (
  key TEXT PRIMARY KEY,
  used BIGINT NOT NULL,
  ends_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX counters_end ON counters (ends_at);

-- Answers kept for a repeated request, sealed.
CREATE TABLE idempotency (
  key_hash BYTEA PRIMARY KEY,
  request_hash BYTEA NOT NULL,
  holder TEXT NOT NULL,             -- the request that works on it, or did
  expires_at BIGINT NOT NULL,       -- of the answer; until there is one, of the holder's lease
  sealed BYTEA
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

-- APIs and MCP servers that may introspect.
CREATE TABLE resource_servers (
  id TEXT PRIMARY KEY,
  secret_hash BYTEA NOT NULL,
  url TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT,                      -- what it knows; none: every scope
  created_at BIGINT NOT NULL,
  removed_at BIGINT
) /*sqlite WITHOUT ROWID*/;

-- Append-only audit: who did what, when, from where.
CREATE TABLE events (
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  account_id TEXT,
  agent_id TEXT,
  subject TEXT,                     -- the id of what it is about, where that is neither
  address TEXT,
  request_id TEXT,
  details TEXT                      -- JSON, no secrets
) /*sqlite WITHOUT ROWID*/;
