-- OAuth clients that nobody uses are deleted, and what people let a client do ends in batches when it ends. `used_at` is set by a
-- consent and by a token of its own, too.
ALTER TABLE oauth_clients ADD COLUMN consents_ending BIGINT; -- 1: it ended or was suspended, and what people let it do is being ended
CREATE INDEX oauth_clients_used ON oauth_clients (used_at) WHERE used_at IS NOT NULL AND origin IN ('dynamic', 'document');
CREATE INDEX oauth_clients_ending ON oauth_clients (id) WHERE consents_ending = 1;
CREATE INDEX oauth_grants_live ON oauth_grants (client_id, account_id, id) WHERE revoked_at IS NULL;

-- What operators do to clients is listed with what else is done to the service.
DROP INDEX events_operating;
CREATE INDEX events_operating ON events (id) WHERE kind IN ('database.restored', 'operator.added', 'operator.agent_revoked',
  'operator.client_removed', 'operator.client_resumed', 'operator.client_rotated', 'operator.client_suspended',
  'operator.key_revoked', 'operator.keys_revoked', 'operator.mail_changed', 'operator.mail_retried', 'operator.removed', 'operator.sessions_ended',
  'resource.added', 'resource.removed', 'resource.rotated', 'signing_key.made');
