-- expect: 7:5 advice dynamic_sql runs SQL that is put together as it runs: it can't be read beforehand
-- expect: 8:5 destructive dynamic_sql runs SQL that is put together as it runs and holds DROP TABLE: what it destroys can't be told
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'attic' LOOP
    EXECUTE format('ANALYZE attic.%I', name);
    EXECUTE 'DROP TABLE attic.' || name;
  END LOOP;
END $$;
