-- What the human gave on the page when they approved or confirmed, separated by spaces; none: all that a claim gives.
ALTER TABLE claim_attempts ADD COLUMN scope TEXT;
