DO $$ BEGIN PERFORM 1; END $$;
UPDATE orders SET note = 'old' WHERE id < 1000;
