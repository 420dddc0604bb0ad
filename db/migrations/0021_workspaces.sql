-- Shared workspaces, who is in them, the trees that resource servers tell, and the places where a credential may act. A personal
-- workspace has no row: its id is that of its account.
CREATE TABLE workspaces (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX workspaces_created ON workspaces (created_at, id);

CREATE TABLE members (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  role TEXT NOT NULL,         -- owner, admin, member or viewer
  joined_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (workspace_id, account_id)
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX members_account ON members (account_id);

CREATE TABLE invitations (
  id TEXT PRIMARY KEY,
  workspace_id TEXT NOT NULL REFERENCES workspaces (id),
  mailbox TEXT NOT NULL,      -- canonical
  role TEXT NOT NULL,
  invited_by TEXT NOT NULL REFERENCES accounts (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  accepted_at BIGINT,
  ended_at BIGINT,
  end_reason TEXT             -- superseded, withdrawn, declined, void or workspace_deleted
);
CREATE UNIQUE INDEX invitations_open ON invitations (workspace_id, mailbox) WHERE accepted_at IS NULL AND ended_at IS NULL;
CREATE INDEX invitations_workspace ON invitations (workspace_id, id);
CREATE INDEX invitations_inviter ON invitations (invited_by, id);
CREATE INDEX invitations_mailbox ON invitations (mailbox, id);
CREATE INDEX invitations_expiry ON invitations (expires_at);

CREATE TABLE trees (
  resource TEXT NOT NULL,     -- the URL of the API
  workspace_id TEXT NOT NULL, -- of an account, too: that of its personal workspace
  sequence BIGINT,            -- of the last batch that had a number; none: no batch had one
  batch_hash BYTEA,           -- SHA-256 of that batch
  nodes BIGINT NOT NULL,      -- how many live
  changed_at BIGINT NOT NULL,
  recorded_at BIGINT,         -- when a change was last written to the audit log
  PRIMARY KEY (resource, workspace_id)
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX trees_workspace ON trees (workspace_id);

CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  resource TEXT NOT NULL,
  workspace_id TEXT NOT NULL,
  external_id TEXT NOT NULL,  -- as the resource server names it
  parent_id TEXT,             -- none: it is right below the workspace
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE UNIQUE INDEX nodes_external ON nodes (resource, workspace_id, external_id) WHERE ended_at IS NULL;
CREATE INDEX nodes_parent ON nodes (parent_id) WHERE parent_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX nodes_workspace ON nodes (workspace_id, id) WHERE ended_at IS NULL;
CREATE INDEX nodes_ended ON nodes (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE places (
  id TEXT PRIMARY KEY,
  holder TEXT NOT NULL,       -- a credential, an agent, a consent, or a client, of which it is an upper bound only
  workspace_id TEXT NOT NULL,
  resource TEXT,              -- the URL of the API; none: every one that understands workspaces
  node_id TEXT,
  path TEXT,                  -- neither node nor path: the whole workspace
  types TEXT,                 -- space-separated; none: all
  actions TEXT NOT NULL,      -- scopes, space-separated
  granted_by TEXT NOT NULL,   -- the account whose role bounds it; the workspace itself: none does
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  ended_at BIGINT,
  end_reason TEXT             -- revoked, replaced, member_left, member_removed, account_deleted, node_gone or workspace_deleted
);
CREATE INDEX places_holder ON places (holder, id) WHERE ended_at IS NULL;
CREATE INDEX places_granter ON places (workspace_id, granted_by) WHERE ended_at IS NULL;
CREATE INDEX places_node ON places (node_id) WHERE node_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX places_history ON places (holder, id);

-- 0: it works in its account alone, by its scope. 1: in its places alone. 2: in its account, and in the places of its agent.
ALTER TABLE credentials ADD COLUMN placed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN placed BIGINT NOT NULL DEFAULT 0; -- 1: it has places beside its account
ALTER TABLE resource_servers ADD COLUMN workspaces BIGINT NOT NULL DEFAULT 0; -- 1: it understands workspaces
ALTER TABLE resource_servers ADD COLUMN all_workspaces BIGINT NOT NULL DEFAULT 1; -- 0: it is told only of those where it has a place
ALTER TABLE events ADD COLUMN workspace_id TEXT;
CREATE INDEX events_workspace ON events (workspace_id, id) WHERE workspace_id IS NOT NULL;
