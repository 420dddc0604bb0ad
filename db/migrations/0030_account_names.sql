-- What a human wants to be called by the members of their workspaces.
ALTER TABLE accounts ADD COLUMN name TEXT;
