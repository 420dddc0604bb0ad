-- The human's side of a claim: the page on which it is reviewed, approved or denied.

ALTER TABLE claim_attempts ADD COLUMN proof TEXT NOT NULL DEFAULT 'code'; -- what the mail carries: code, link
ALTER TABLE claim_attempts ADD COLUMN approved_at BIGINT;                 -- by the owner of the mailbox, on the page
ALTER TABLE claim_attempts ADD COLUMN confirmed_by TEXT;                  -- the account that was signed in when it was

-- Claim mail that the owner of a mailbox does not want.
CREATE TABLE mail_refusals (
  mailbox TEXT NOT NULL,            -- as limits count it
  registration_id TEXT NOT NULL,    -- of one agent; empty: of all
  created_at BIGINT NOT NULL,
  ends_at BIGINT,                   -- none: for good
  PRIMARY KEY (mailbox, registration_id)
) /*sqlite WITHOUT ROWID*/;
