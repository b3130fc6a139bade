-- expect: 11:5 destructive dynamic_sql runs SQL that is put together as it runs: what it destroys can't be told
-- expect: 12:5 destructive dynamic_sql runs SQL that is put together as it runs: what it destroys can't be told
-- expect: 13:5 destructive dynamic_sql runs SQL that is put together as it runs and holds DROP TABLE: what it destroys can't be told
-- expect: 14:5 destructive drop_table drops table attic."…"
DO $$
DECLARE
  name text;
  way text := 'DROP TABLE ';
BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'attic' LOOP
    EXECUTE 'ANALYZE attic.' || name;
    EXECUTE way || quote_ident(name);
    EXECUTE format('DROP TABLE attic.%s', name);
    EXECUTE format('DROP TABLE attic.%I', name);
  END LOOP;
END $$;
