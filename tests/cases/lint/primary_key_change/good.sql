ALTER TABLE orders_log ADD CONSTRAINT entry_not_empty CHECK (entry <> '') NOT VALID;
ALTER TABLE orders_log DROP CONSTRAINT entry_not_empty;
