-- The language that a human chose for pages and mail, such as 'de'. Without one, pages follow the browser.
ALTER TABLE accounts ADD COLUMN locale TEXT;
-- That of the page on which somebody asked for the mail: the mail has it where the mailbox has no account that chose one.
ALTER TABLE sign_ins ADD COLUMN locale TEXT;
