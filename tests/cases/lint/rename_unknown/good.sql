DO $$
BEGIN
  EXECUTE format('ANALYZE %I', 'orders_' || 'log');
END $$;
