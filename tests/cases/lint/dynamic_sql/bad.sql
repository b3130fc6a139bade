-- expect: 10:5 advice dynamic_sql runs dynamic SQL, which can't be checked in advance
-- expect: 11:5 risky dynamic_sql runs dynamic SQL containing DROP TABLE: what it destroys is known only once it has run
-- expect: 15:7 destructive drop_table drops table orders
-- expect: 16:25 advice dynamic_sql runs dynamic SQL, which can't be checked in advance
DO $$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'attic' LOOP
    EXECUTE 'ANALYZE attic.' || name;
    EXECUTE format('DROP TABLE attic.%I', name);
  END LOOP;
END $$;
-- A constant is linted like any statement.
DO $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$;
DO LANGUAGE plpython3u 'plpy.execute("…")';
