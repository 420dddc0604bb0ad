-- What a human refused an agent of theirs: at an approval, by narrowing or by revoking it. It stays refused until they allow it,
-- to that agent and to whatever else its host brings.
CREATE TABLE refused_capabilities (
  host_id TEXT NOT NULL REFERENCES hosts (id),
  agent_id TEXT NOT NULL,           -- '': every agent of the host
  capability TEXT NOT NULL,
  refused_at BIGINT NOT NULL,
  PRIMARY KEY (host_id, agent_id, capability)
) /*sqlite WITHOUT ROWID*/;
