-- Each secret that a running service seals with, and a sealed text: one that cannot open it has another SECRET than its siblings.
CREATE TABLE secret_marks (
  id TEXT PRIMARY KEY,   -- of the secret; tells nothing of it
  sealed BYTEA NOT NULL,
  seen_at BIGINT NOT NULL -- when a service that uses it last said so
);
