-- The latest time that a service on this database has known: a start does not begin before it, whatever its host's clock shows.
CREATE TABLE clock_mark (
  id BIGINT PRIMARY KEY, -- 1: there is one row
  at BIGINT NOT NULL
);
