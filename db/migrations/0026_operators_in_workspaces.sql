-- What operators do to accounts and workspaces is listed with what else is done to the service.
DROP INDEX events_operating;
CREATE INDEX events_operating ON events (id) WHERE kind IN ('database.restored', 'operator.account_deleted', 'operator.added',
  'operator.agent_revoked', 'operator.client_removed', 'operator.client_resumed', 'operator.client_rotated', 'operator.client_suspended',
  'operator.key_revoked', 'operator.keys_revoked', 'operator.mail_changed', 'operator.mail_retried', 'operator.removed', 'operator.sessions_ended',
  'operator.workspace_deleted', 'resource.added', 'resource.removed', 'resource.rotated', 'signing_key.made');
