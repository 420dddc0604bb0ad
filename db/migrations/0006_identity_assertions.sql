-- auth.md in its own versions: identities that we sign, tokens that are exchanged for them, codes that go two ways, and agent
-- providers whose word is taken.

-- v0.1 says what its agent wants at the end: api_key, access_token. Others leave it out.
ALTER TABLE registrations ADD COLUMN credential_type TEXT;
-- Grows where all assertions that were signed before must die: they name the one they belong to.
ALTER TABLE registrations ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
-- The user of a provider on whose word it came, or was claimed; see principals.
ALTER TABLE registrations ADD COLUMN principal TEXT;
CREATE INDEX registrations_principal ON registrations (principal) WHERE principal IS NOT NULL;

-- By what the agent collected what the claim gave, where it may ask again for a while: grant.
ALTER TABLE claims ADD COLUMN collected_by TEXT;

-- proof: also page, for mail that carries a link to the page on which the codes are.
ALTER TABLE claim_attempts ADD COLUMN reveal TEXT;                           -- how the code that the page shows looks: digits, letters; none: there is no such
ALTER TABLE claim_attempts ADD COLUMN typed BIGINT NOT NULL DEFAULT 0;       -- 1: the agent has a code for the human to type
ALTER TABLE claim_attempts ADD COLUMN typed_tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE claim_attempts ADD COLUMN revealed_at BIGINT;                    -- when the human confirmed, and was shown the code
ALTER TABLE claim_attempts ADD COLUMN polled_at BIGINT;                      -- when the agent last asked whether its human had typed it
ALTER TABLE claim_attempts ADD COLUMN principal TEXT;                        -- whose delegation it will be
CREATE INDEX claim_attempts_principal ON claim_attempts (principal) WHERE principal IS NOT NULL;

-- kind: key, and token for the short-lived ones that are got for an assertion.
ALTER TABLE credentials ADD COLUMN kind TEXT NOT NULL DEFAULT 'key';
CREATE INDEX credentials_tokens ON credentials (expires_at) WHERE kind = 'token';

-- What its owner left an agent: none of what it gets later is wider. None: nothing was taken.
ALTER TABLE agents ADD COLUMN scope TEXT;
-- When and where it last got a token: the tokens themselves are soon gone.
ALTER TABLE agents ADD COLUMN seen_at BIGINT;
ALTER TABLE agents ADD COLUMN seen_from TEXT;

-- Each is spent once, for the next of its family.
CREATE TABLE refresh_tokens (
  hash BYTEA PRIMARY KEY,
  family TEXT NOT NULL,
  registration_id TEXT NOT NULL REFERENCES registrations (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  spent_at BIGINT,
  successor BYTEA,                  -- the next one, sealed, for whoever lost the answer
  ended_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX refresh_tokens_registration ON refresh_tokens (registration_id);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- The keys that we sign with; when each is used follows from the times.
CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY,
  public_jwk TEXT NOT NULL,
  sealed BYTEA NOT NULL,            -- the private one, under the service secret
  created_at BIGINT NOT NULL,       -- published since
  used_from BIGINT NOT NULL,        -- signs since
  removed_at BIGINT
) /*sqlite WITHOUT ROWID*/;

-- A user of an agent provider: JSON of issuer, tenant and subject. Its row is the lock behind which all that it presents
-- stands in line.
CREATE TABLE principals (
  principal TEXT PRIMARY KEY,
  issuer TEXT NOT NULL,
  registration_id TEXT,             -- the one that its assertions lead to
  account_id TEXT,                  -- who lets it act for them: the delegation
  created_at BIGINT NOT NULL,
  linked_at BIGINT
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX principals_account ON principals (account_id) WHERE account_id IS NOT NULL;

-- Tokens of providers that were taken, as long as they could be presented again.
CREATE TABLE spent_tokens (
  issuer TEXT NOT NULL,
  jti TEXT NOT NULL,
  ends_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, jti)
) /*sqlite WITHOUT ROWID*/;
CREATE INDEX spent_tokens_end ON spent_tokens (ends_at);
