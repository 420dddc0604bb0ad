-- Whose an agent is, with the agent: lists of linked agents, each in an account of its own, come in order from one index then.
-- It counts where owner_since is owned_at. A version before this one changes owners without it, and changes owned_at.
-- In a migration of its own: nobody reads agents meanwhile, and this is over at once.
ALTER TABLE agents ADD COLUMN owner_id TEXT;
ALTER TABLE agents ADD COLUMN owner_since BIGINT;
-- The version before finds the agents of an account by agents_account then, and sorts them.
DROP INDEX agents_owned;
