-- What the mail of a sign-in holds: six digits or, where too many were guessed at, a link that works once.
ALTER TABLE sign_ins ADD COLUMN proof TEXT NOT NULL DEFAULT 'code'; -- code, link
