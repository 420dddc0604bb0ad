-- Signing keys of agents and of people's terminals, the permission requests that they sign, and what people granted.
CREATE TABLE session_keys (
  thumbprint TEXT PRIMARY KEY,  -- RFC 7638
  public_jwk TEXT NOT NULL,
  family TEXT NOT NULL,         -- the first key of those that followed each other
  generation BIGINT NOT NULL,   -- how many were before it
  agent_id TEXT,                -- whose it is: an agent's,
  account_id TEXT,              -- or that of a human's terminal
  name TEXT,                    -- as it called itself; unverified
  bound TEXT,                   -- of a terminal: what it may grant, and where, as JSON
  bound_by TEXT,                -- of an agent: the key that named it, with which it ends unless its owner confirms it
  confirmed_at BIGINT,
  origin TEXT NOT NULL,         -- the coarse network that it came from
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  retires_at BIGINT,            -- until when it works beside the key that follows it
  successor TEXT,
  ended_at BIGINT,
  seen_at BIGINT,
  seen_from TEXT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX session_keys_agent ON session_keys (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX session_keys_account ON session_keys (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX session_keys_expiry ON session_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX session_keys_family ON session_keys (family, generation);
CREATE INDEX session_keys_ended ON session_keys (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE permission_requests (
  id TEXT PRIMARY KEY,          -- prq_…, a digest of what is asked
  thumbprint TEXT NOT NULL,
  family TEXT NOT NULL,         -- of its key; of an agent under a host the agent
  generation BIGINT NOT NULL,
  agent_id TEXT,
  account_id TEXT,              -- a human's own terminal asks; neither: a terminal wants to become one
  artifact TEXT NOT NULL,       -- as it was signed, JSON
  login BIGINT NOT NULL,        -- 1: the terminal wants to act for a human
  once BIGINT NOT NULL,         -- 1: for one action
  code_mac TEXT NOT NULL,
  secret_id TEXT NOT NULL,      -- what its code is derived from
  code_number BIGINT NOT NULL,
  origin TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  polled_at BIGINT,
  decided_at BIGINT,
  decided_by TEXT,
  grant_id TEXT,
  denial TEXT                   -- as we signed it, JSON
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX permission_requests_agent ON permission_requests (agent_id, created_at) WHERE agent_id IS NOT NULL;
CREATE INDEX permission_requests_key ON permission_requests (thumbprint);
CREATE INDEX permission_requests_code ON permission_requests (code_mac) WHERE decided_at IS NULL;
CREATE INDEX permission_requests_expiry ON permission_requests (expires_at);

CREATE TABLE permission_grants (
  id TEXT PRIMARY KEY,          -- grt_…
  request_id TEXT NOT NULL,
  family TEXT NOT NULL,
  generation BIGINT NOT NULL,
  agent_id TEXT,                -- who holds it: an agent,
  account_id TEXT,              -- or a human's own terminal
  granted_by TEXT NOT NULL,
  granted_with TEXT,            -- the family of the terminal's key; none: on a page
  artifact TEXT NOT NULL,       -- as we signed it, JSON
  once BIGINT NOT NULL,
  action_hash TEXT,             -- of the action that it is for: SHA-256, base64url
  spent_at BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX permission_grants_agent ON permission_grants (agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX permission_grants_account ON permission_grants (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX permission_grants_granter ON permission_grants (granted_by, id);
CREATE INDEX permission_grants_expiry ON permission_grants (expires_at);

ALTER TABLE credentials ADD COLUMN grants TEXT;       -- grt_ ids, of a token got with a session key
ALTER TABLE credentials ADD COLUMN narrowed TEXT;     -- where that token may do what at most, as JSON
ALTER TABLE credentials ADD COLUMN action_hash TEXT;  -- the one action that it is for
ALTER TABLE signing_keys ADD COLUMN keep_until BIGINT; -- a grant that it signed lives until then
CREATE INDEX hosted_agents_thumbprint ON hosted_agents (thumbprint);
