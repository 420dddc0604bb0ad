-- What humans see of their agents and keys, and do with them; the second factor; mail about what happened.

-- Since when an agent has the owner it has. Those without one, which are most, cost no index of owners anything.
ALTER TABLE agents ADD COLUMN owned_at BIGINT;
UPDATE agents SET owned_at = (SELECT claimed_at FROM registrations WHERE id = agents.registration_id);
CREATE INDEX agents_owned ON agents (account_id) WHERE owned_at IS NOT NULL;
CREATE INDEX accounts_parent ON accounts (parent_id) WHERE parent_id IS NOT NULL;

-- Keys may now belong to a human alone, without an agent. SQLite cannot take a NOT NULL back, so the table is made anew.
CREATE TABLE credentials_anew (
  hash BYTEA PRIMARY KEY,
  id TEXT NOT NULL,
  agent_id TEXT REFERENCES agents (id), -- none: a key of the human's own
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
  last_used_from TEXT,              -- the resource server that asked, or the coarse network
  warn_at BIGINT,                   -- when to tell its owner that it expires; none: not at all, or told
  retires_others BIGINT NOT NULL DEFAULT 0, -- 1: its first use ends the keys it supersedes
  superseded_by TEXT
) /*sqlite WITHOUT ROWID*/;
INSERT INTO credentials_anew
    (hash, id, agent_id, account_id, name, scope, resources, prefix, last_four, created_at, expires_at, revoked_at,
     last_used_at, retires_others, superseded_by)
  SELECT hash, id, agent_id, account_id, name, scope, resources, prefix, last_four, created_at, expires_at, revoked_at,
     last_used_at, retires_others, superseded_by
  FROM credentials;
DROP TABLE credentials;
ALTER TABLE credentials_anew RENAME TO credentials;
CREATE UNIQUE INDEX credentials_id ON credentials (id);
CREATE INDEX credentials_agent ON credentials (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX credentials_personal ON credentials (account_id) WHERE agent_id IS NULL;
CREATE INDEX credentials_warning ON credentials (warn_at) WHERE warn_at IS NOT NULL;

-- What happened to an account or an agent. That an agent registered is by far the most frequent event, and the one that
-- nobody looks up in this way: the index is without it, and so are the questions that use it.
CREATE INDEX events_account ON events (account_id, id)
  WHERE account_id IS NOT NULL AND kind <> 'registration.created';
CREATE INDEX events_agent ON events (agent_id, id)
  WHERE agent_id IS NOT NULL AND kind <> 'registration.created';

-- What a mail about what happened tells of: events of the account that is its attempt_id.
CREATE TABLE notices (
  mail_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  PRIMARY KEY (mail_id, event_id)
) /*sqlite WITHOUT ROWID*/;

-- A sign-in whose mailed code was right, and that waits for the second factor.
ALTER TABLE sign_ins ADD COLUMN proven_at BIGINT;
-- A code is typed at the beginning of each session, so that its age says it all.
ALTER TABLE sessions DROP COLUMN proven_at;

-- The authenticator app of an account (RFC 6238).
CREATE TABLE authenticators (
  account_id TEXT PRIMARY KEY REFERENCES accounts (id),
  sealed BYTEA NOT NULL,            -- its secret, under the service secret
  last_step BIGINT NOT NULL,        -- the time step of the newest code that was used: none works twice
  created_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;

-- What signs in once each where the app is lost.
CREATE TABLE recovery_codes (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  hash BYTEA NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (account_id, hash)
) /*sqlite WITHOUT ROWID*/;
