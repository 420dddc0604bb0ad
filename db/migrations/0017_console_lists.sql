-- More of the operator's console: rotated secrets of resource servers, mail that was not delivered, searching the audit log.

-- The secret before the current one, which works until a rotation's overlap ends.
ALTER TABLE resource_servers ADD COLUMN previous_secret_hash BYTEA;
ALTER TABLE resource_servers ADD COLUMN previous_ends_at BIGINT;
-- When it last authenticated, and when it last asked for revocations or was connected to their feed.
ALTER TABLE resource_servers ADD COLUMN seen_at BIGINT;
ALTER TABLE resource_servers ADD COLUMN followed_at BIGINT;

-- Mail that could not be delivered. What another mail replaced is none.
CREATE INDEX outbox_dead ON outbox (id) WHERE dead_at IS NOT NULL AND error <> 'superseded';

-- Mailboxes that want no mail of agents, by when they said so.
CREATE INDEX mail_refusals_all ON mail_refusals (created_at, mailbox) WHERE registration_id = '';

-- Events by their kind and by what they are about. Registrations and tokens, of which most events are, are in neither.
CREATE INDEX events_kind ON events (kind, id) WHERE kind NOT IN ('registration.created', 'token.issued');
CREATE INDEX events_subject ON events (subject, id)
  WHERE subject IS NOT NULL AND kind NOT IN ('registration.created', 'token.issued');
