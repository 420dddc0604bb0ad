-- The OAuth authorization server: clients, what people consented to, and what it remembers between two requests.
CREATE TABLE oauth_clients (
  id TEXT PRIMARY KEY,        -- client_id; of a client metadata document its URL
  origin TEXT NOT NULL,       -- dynamic (RFC 7591), document, person or operator
  owner TEXT REFERENCES accounts (id), -- the human who registered it
  name TEXT,
  metadata TEXT NOT NULL,     -- JSON (RFC 7591 section 2), without the secret
  secret_hash BYTEA,          -- SHA-256
  previous_secret_hash BYTEA, -- the secret before, which works until previous_ends_at
  previous_ends_at BIGINT,
  account_id TEXT REFERENCES accounts (id), -- as which it acts by itself: its owner's, or of the operator's client its own
  scope TEXT,                 -- the most it may ask for, space-separated; none: no bound
  created_at BIGINT NOT NULL,
  used_at BIGINT,             -- when it last got a code; none: never
  suspended_at BIGINT,        -- by the operator, who may resume it
  fresh_until BIGINT,         -- of a client metadata document: when it has to be fetched again
  ended_at BIGINT
);
CREATE INDEX oauth_clients_owner ON oauth_clients (owner);
CREATE INDEX oauth_clients_account ON oauth_clients (account_id);
CREATE INDEX oauth_clients_unused ON oauth_clients (created_at) WHERE used_at IS NULL AND origin IN ('dynamic', 'document');
CREATE INDEX oauth_clients_created ON oauth_clients (created_at, id);

CREATE TABLE oauth_grants (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  client_id TEXT NOT NULL REFERENCES oauth_clients (id),
  resource TEXT,              -- the URL of the API; none: only the scopes of OpenID Connect
  scope TEXT NOT NULL,        -- at the API
  openid_scope TEXT NOT NULL,
  redirect_uri TEXT NOT NULL, -- to which it was given last: it is remembered for this one alone
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  used_at BIGINT,             -- when the app last used it, and where, as text for its owner; none: never
  used_from TEXT
);
CREATE INDEX oauth_grants_account ON oauth_grants (account_id);
CREATE INDEX oauth_grants_client ON oauth_grants (client_id);

CREATE TABLE oauth_states (
  model TEXT NOT NULL,        -- of oidc-provider, such as AuthorizationCode
  id_hash BYTEA NOT NULL,     -- SHA-256
  payload BYTEA NOT NULL,     -- sealed
  grant_id TEXT,
  account_id TEXT,
  uid_hash BYTEA,
  code_mac TEXT,              -- of a device's user code
  polled_at BIGINT,           -- when a device last asked whether it was approved
  answer BYTEA,               -- sealed: what a used refresh token was exchanged for
  expires_at BIGINT NOT NULL,
  consumed_at BIGINT,
  PRIMARY KEY (model, id_hash)
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX oauth_states_expiry ON oauth_states (expires_at);
CREATE INDEX oauth_states_session ON oauth_states (account_id) WHERE model = 'Session';
CREATE INDEX oauth_states_grant ON oauth_states (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX oauth_states_code ON oauth_states (code_mac) WHERE code_mac IS NOT NULL;
CREATE INDEX oauth_states_uid ON oauth_states (uid_hash) WHERE uid_hash IS NOT NULL;

-- Access tokens of apps are credentials like all others.
ALTER TABLE credentials ADD COLUMN client_id TEXT;
ALTER TABLE credentials ADD COLUMN oauth_grant TEXT; -- none: the client acts by itself
ALTER TABLE credentials ADD COLUMN key_thumbprint TEXT; -- of the key that every use must prove (RFC 9449); none: it is a bearer token
CREATE INDEX credentials_grant ON credentials (oauth_grant) WHERE oauth_grant IS NOT NULL;
CREATE INDEX credentials_client ON credentials (client_id) WHERE client_id IS NOT NULL AND oauth_grant IS NULL;
DROP INDEX credentials_personal;
CREATE INDEX credentials_personal ON credentials (account_id, id, revoked_at, expires_at, name, agent_id, kind, client_id)
  WHERE agent_id IS NULL AND kind = 'key' AND client_id IS NULL;

-- Whether an event is in the revocation feed is said when it is written, so that later kinds need no index of their own. Events of
-- the version before this one say nothing: they are known by their kind.
ALTER TABLE events ADD COLUMN followed BIGINT;
CREATE INDEX events_feed ON events (id) WHERE (followed = 1 OR (followed IS NULL AND kind IN ('account.deleted', 'agent.linked',
  'agent.merge_undone', 'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked',
  'resource.removed')));
CREATE INDEX events_unnumbered ON events (id) WHERE position IS NULL AND (followed = 1 OR (followed IS NULL AND kind IN ('account.deleted',
  'agent.linked', 'agent.merge_undone', 'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired',
  'key.revoked', 'resource.removed')));
