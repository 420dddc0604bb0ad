-- Humans at a browser: signing in with a mailed code, and the sessions that follow.

-- One run of signing in: one mailbox, one code. The code is computed like that of a claim, and stored nowhere.
CREATE TABLE sign_ins (
  id TEXT PRIMARY KEY,
  mailbox TEXT NOT NULL,
  origin TEXT NOT NULL,             -- coarse network of whoever asked
  secret_id TEXT NOT NULL,
  counter BIGINT NOT NULL,          -- the number of the code
  code_expires_at BIGINT NOT NULL,
  tries BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  ended_at BIGINT
) /*sqlite WITHOUT ROWID*/;

-- Asked by the hash of the cookie.
CREATE TABLE sessions (
  hash BYTEA PRIMARY KEY,
  id TEXT NOT NULL,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  origin TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,          -- to the minute
  proven_at BIGINT NOT NULL,        -- when a mailed code was last typed in it
  ended_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_age ON sessions (created_at);
