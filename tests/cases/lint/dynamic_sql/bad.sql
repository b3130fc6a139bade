-- expect: 11:5 destructive dynamic_sql runs dynamic SQL: what it destroys can't be known in advance
-- expect: 12:5 destructive dynamic_sql runs dynamic SQL: what it destroys can't be known in advance
-- expect: 13:5 destructive dynamic_sql runs dynamic SQL containing DROP TABLE: what it destroys can't be known in advance
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
