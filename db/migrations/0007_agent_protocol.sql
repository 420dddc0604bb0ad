-- The Agent Auth Protocol: hosts and agents that sign each request, and what their humans allow them.

-- The environment that agents run in, known by its key. It is a registration of the kind host; what its agents do before
-- anybody owns it belongs to the account that it comes with.
CREATE TABLE hosts (
  id TEXT PRIMARY KEY,
  registration_id TEXT NOT NULL REFERENCES registrations (id),
  account_id TEXT NOT NULL REFERENCES accounts (id), -- of its own
  name TEXT,                        -- as it calls itself
  thumbprint TEXT NOT NULL,         -- of its key (RFC 7638)
  public_jwk TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  owner_id TEXT,                    -- the human's account it is linked to
  linked_at BIGINT,
  revoked_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE UNIQUE INDEX hosts_thumbprint ON hosts (thumbprint);
CREATE INDEX hosts_owner ON hosts (owner_id) WHERE owner_id IS NOT NULL;

-- Keys that hosts had before: they are nobody's, and never a new host.
CREATE TABLE retired_host_keys (
  thumbprint TEXT PRIMARY KEY,
  host_id TEXT NOT NULL REFERENCES hosts (id),
  retired_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;

-- Agents under hosts. One that is let in is an agent like all others, by the same id.
CREATE TABLE hosted_agents (
  id TEXT PRIMARY KEY,
  host_id TEXT NOT NULL REFERENCES hosts (id),
  mode TEXT NOT NULL,               -- delegated, autonomous
  name TEXT NOT NULL,
  thumbprint TEXT NOT NULL,
  public_jwk TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  activated_at BIGINT,              -- last
  seen_at BIGINT,                   -- when it last signed something
  ended_at BIGINT,
  end_reason TEXT                   -- revoked, rejected, claimed
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX hosted_agents_host ON hosted_agents (host_id);
CREATE INDEX hosted_agents_waiting ON hosted_agents (created_at) WHERE activated_at IS NULL;
CREATE UNIQUE INDEX hosted_agents_key ON hosted_agents (host_id, thumbprint);

-- What an agent asked for, and what became of it.
CREATE TABLE grants (
  agent_id TEXT NOT NULL REFERENCES hosted_agents (id),
  capability TEXT NOT NULL,
  constraints TEXT,                 -- JSON; none: within its input whatever it likes
  asked_at BIGINT NOT NULL,
  granted_at BIGINT,
  granted_by TEXT,                  -- the human's account; none: by rule
  denied_at BIGINT,
  reason TEXT,                      -- of a denial
  PRIMARY KEY (agent_id, capability)
) /*sqlite WITHOUT ROWID*/;

-- A question to a human. The code is computed; what is stored of it is a MAC to find it by.
CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL REFERENCES hosted_agents (id),
  method TEXT NOT NULL,             -- device_authorization, ciba
  mailbox TEXT,                     -- whom the mail went to
  code_mac TEXT NOT NULL,
  reason TEXT,                      -- as the agent gives it
  binding_message TEXT,
  origin TEXT NOT NULL,             -- coarse network of whoever asked
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  decided_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX approvals_agent ON approvals (agent_id);
CREATE INDEX approvals_expiry ON approvals (expires_at);
CREATE INDEX approvals_code ON approvals (code_mac) WHERE decided_at IS NULL;

-- That a host was linked is followed too: what its agents had before belongs to its owner.
DROP INDEX events_followed;
CREATE INDEX events_followed ON events (id) WHERE kind IN ('account.deleted', 'agent.linked', 'agent.merge_undone',
  'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked', 'resource.removed');
