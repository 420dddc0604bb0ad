-- Consents that no human gave: the user of a provider whose assertions gave one; none: a human did.
ALTER TABLE oauth_grants ADD COLUMN principal TEXT;
CREATE INDEX oauth_grants_principal ON oauth_grants (principal) WHERE principal IS NOT NULL;
