-- What people's lists are sorted by and narrowed to, in the order in which their pages read it.

-- An agent's last use is kept with the agent from now on: in seen_at and seen_from, which said only when it last got a token.
-- Filled in for agents with an owner. That reads agents once, and locks and writes none but those whose keys, or own signatures,
-- were used since: a service of the version before goes on reading, and waits only to write one of these. What it notes of uses
-- meanwhile is with the keys, where pages find it, too.
UPDATE agents SET
  seen_from = (SELECT last_used_from FROM credentials WHERE agent_id = agents.id AND last_used_at IS NOT NULL
    ORDER BY last_used_at DESC LIMIT 1),
  seen_at = (SELECT MAX(last_used_at) FROM credentials WHERE agent_id = agents.id)
WHERE owned_at IS NOT NULL
  AND COALESCE(seen_at, 0) < (SELECT MAX(last_used_at) FROM credentials WHERE agent_id = agents.id);
UPDATE agents SET
  seen_from = NULL,
  seen_at = (SELECT h.seen_at FROM hosted_agents h WHERE h.id = agents.id)
WHERE owned_at IS NOT NULL
  AND COALESCE(seen_at, 0) < (SELECT h.seen_at FROM hosted_agents h WHERE h.id = agents.id);

-- An owner's agents by last use, with all that they are narrowed and counted by. Those without an owner, which are most, are not
-- in it. Like the indexes below it is made by reading its table once, while writers wait.
CREATE INDEX agents_owned ON agents (account_id, COALESCE(seen_at, 0), id, seen_at, revoked_at, owned_at, name)
  WHERE owned_at IS NOT NULL;

-- A human's own keys, newest first.
DROP INDEX credentials_personal;
CREATE INDEX credentials_personal ON credentials (account_id, id, revoked_at, expires_at, name, agent_id)
  WHERE agent_id IS NULL;

-- Sessions, used last first. The index leads its reference to accounts, like the one before.
CREATE INDEX sessions_seen ON sessions (account_id, seen_at, id);
DROP INDEX sessions_account;

-- Hosts of an owner, linked last first.
DROP INDEX hosts_owner;
CREATE INDEX hosts_owner ON hosts (owner_id, linked_at, id) WHERE owner_id IS NOT NULL;

-- What happened to an account, of one kind, or to one key. Like events_account, without registrations.
CREATE INDEX events_account_kind ON events (account_id, kind, id)
  WHERE account_id IS NOT NULL AND kind <> 'registration.created';
CREATE INDEX events_key ON events (subject, id) WHERE kind IN ('key.created', 'key.expiring', 'key.retired', 'key.revoked');
