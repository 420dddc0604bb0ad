-- The agents of an owner by last use, with all that they are narrowed and counted by. Like the index below it is made by reading the
-- table once, while writers wait.
CREATE INDEX agents_owner ON agents
  (owner_id, COALESCE(seen_at, 0), id, seen_at, revoked_at, owned_at, owner_since, name) WHERE owner_since = owned_at;

-- Those whose owner is not written with them, which are all at first and those that a version before changes. The service writes it
-- in small steps, and lists find them by their account until then.
CREATE INDEX agents_owner_unknown ON agents (account_id, id)
  WHERE owned_at IS NOT NULL AND CASE WHEN owner_since = owned_at THEN 1 ELSE 0 END = 0;
