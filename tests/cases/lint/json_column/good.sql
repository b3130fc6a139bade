ALTER TABLE orders ADD COLUMN extra jsonb;
