-- What keeps statements from looking through a table that grows.

-- Each row that is deleted above a reference is looked for among those below it: by these, whatever they hold.
CREATE INDEX agents_account ON agents (account_id);
DROP INDEX agents_owned;
CREATE INDEX credentials_account ON credentials (account_id);
DROP INDEX credentials_agent;
CREATE INDEX credentials_agent ON credentials (agent_id);
CREATE INDEX hosts_registration ON hosts (registration_id);
CREATE INDEX hosts_account ON hosts (account_id);
CREATE INDEX retired_host_keys_host ON retired_host_keys (host_id);

-- What has ended, by when it goes.
CREATE INDEX claim_attempts_end ON claim_attempts (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX mail_refusals_end ON mail_refusals (ends_at) WHERE ends_at IS NOT NULL;
CREATE INDEX outbox_over ON outbox (give_up_at) WHERE sent_at IS NOT NULL OR dead_at IS NOT NULL;
CREATE INDEX principals_idle ON principals (created_at) WHERE account_id IS NULL;

-- The users of a provider that is not trusted any more.
CREATE INDEX principals_issuer ON principals (issuer, principal);
