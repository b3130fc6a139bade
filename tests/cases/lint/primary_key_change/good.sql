ALTER TABLE orders_log ADD CONSTRAINT entry_there CHECK (entry <> '') NOT VALID;
ALTER TABLE orders_log DROP CONSTRAINT entry_there;
