DO $$ BEGIN PERFORM 1; END $$;
UPDATE orders SET note = 'old' WHERE id < 1000;
CREATE INDEX CONCURRENTLY ON orders_log (lower(entry));
