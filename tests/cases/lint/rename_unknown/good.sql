DO $$
BEGIN
  EXECUTE format('ANALYZE %I', 'orders_' || 'log');
END $$;
DO $$ DECLARE n text := 'x' || random(); BEGIN EXECUTE format('ALTER TABLE orders RENAME CONSTRAINT orders_pkey TO %I', n); END $$;
