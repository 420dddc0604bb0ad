-- Users of providers for whom a client presented an assertion, while the account with their mailbox lets no provider speak for it:
-- its owner decides at a page.
CREATE TABLE link_requests (
  id TEXT PRIMARY KEY,              -- lnk_…
  principal TEXT NOT NULL,          -- the user of the provider; one request each
  account_id TEXT NOT NULL REFERENCES accounts (id),
  client_id TEXT NOT NULL REFERENCES oauth_clients (id),
  scope TEXT NOT NULL,              -- what the client asked for, separated by spaces, and where
  resource TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  declined_at BIGINT                -- the owner may still change their mind until it expires
) /*sqlite WITHOUT ROWID*/;
CREATE UNIQUE INDEX link_requests_principal ON link_requests (principal);
CREATE INDEX link_requests_account ON link_requests (account_id);
CREATE INDEX link_requests_client ON link_requests (client_id);
CREATE INDEX link_requests_expires ON link_requests (expires_at);
