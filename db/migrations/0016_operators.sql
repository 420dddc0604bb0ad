-- Those who may use the console, beside those of the configuration: on one's own machine alone, where the command line makes them.
CREATE TABLE operators (
  mailbox TEXT PRIMARY KEY,         -- canonical
  created_at BIGINT NOT NULL
) /*sqlite WITHOUT ROWID*/;
