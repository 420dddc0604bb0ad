-- The operator's console.

-- Those who may use it, beside those of the configuration: on one's own machine alone, where the command line makes them.
CREATE TABLE operators (
  mailbox TEXT PRIMARY KEY,         -- canonical
  created_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;

-- The coarse network from which it registered. None: it is older than this column.
ALTER TABLE agents ADD COLUMN origin TEXT;

-- A key that somebody found is known by its public start.
CREATE INDEX credentials_prefix ON credentials (prefix, id);

-- Humans are few among all accounts.
CREATE INDEX accounts_humans ON accounts (id) WHERE kind = 'human';

-- What was done to the service itself, of which there is little among all events.
CREATE INDEX events_operating ON events (id) WHERE kind IN ('database.restored', 'operator.added', 'operator.agent_revoked',
  'operator.key_revoked', 'operator.keys_revoked', 'operator.mail_changed', 'operator.mail_retried', 'operator.removed', 'operator.sessions_ended',
  'resource.added', 'resource.removed', 'resource.rotated', 'signing_key.made');

-- How many agents registered on a day that is over (UTC, counted from 1970-01-01): counted once.
CREATE TABLE agent_days (
  day BIGINT PRIMARY KEY,
  agents BIGINT NOT NULL
);

-- When a job that runs by a timer last came to its end.
CREATE TABLE job_marks (
  name TEXT PRIMARY KEY,
  at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;

-- How many of the agents that ask are approved; and what may be an attack, or a mail server that takes nothing.
CREATE INDEX events_asked ON events (id, kind, subject) WHERE kind IN ('claim.completed', 'claim.started');
CREATE INDEX events_alarming ON events (id) WHERE kind IN ('claim.guess_failed', 'mail.dead', 'session.guess_failed');
