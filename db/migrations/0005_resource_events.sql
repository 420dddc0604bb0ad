-- What resource servers follow: revocations, changes and merges. The events between are many; these are few.
CREATE INDEX events_followed ON events (id) WHERE kind IN ('account.deleted', 'agent.linked', 'agent.merge_undone',
  'agent.merged', 'agent.narrowed', 'agent.released', 'agent.revoked', 'key.retired', 'key.revoked', 'resource.removed');
