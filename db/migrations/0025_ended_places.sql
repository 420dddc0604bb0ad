-- Who is told of a change in a workspace: those who have, or had a moment ago, a place there.
CREATE INDEX places_ended ON places (workspace_id, ended_at) WHERE ended_at IS NOT NULL;
