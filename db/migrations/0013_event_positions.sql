-- Transactions commit out of the order of their ids. Resource servers that ask now and then go on from a place in the order in which
-- events were first seen: each look numbers what is new, all with one number.
ALTER TABLE events ADD COLUMN position BIGINT;
UPDATE events SET position = 0 WHERE kind IN ('account.deleted', 'agent.linked', 'agent.merge_undone',
  'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked', 'resource.removed');
CREATE INDEX events_position ON events (position, id) WHERE position IS NOT NULL;
CREATE INDEX events_unseen ON events (id) WHERE position IS NULL AND kind IN ('account.deleted', 'agent.linked', 'agent.merge_undone',
  'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'host.linked', 'key.retired', 'key.revoked', 'resource.removed');
