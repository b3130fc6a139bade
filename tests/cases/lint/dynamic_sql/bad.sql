-- expect: 16:5 destructive dynamic_sql runs dynamic SQL: what it destroys can't be known in advance
-- expect: 17:5 destructive drop_table drops table "…"
-- expect: 18:5 destructive dynamic_sql runs dynamic SQL containing DROP TABLE: what it destroys can't be known in advance
-- expect: 19:5 destructive drop_table drops table attic."…"
-- expect: 23:8 destructive dynamic_sql calls twice(), which runs dynamic SQL: what it destroys can't be known in advance
-- expect: 31:3 destructive dynamic_sql runs dynamic SQL: what it destroys can't be known in advance
-- expect: 33:3 destructive dynamic_sql runs dynamic SQL: what it destroys can't be known in advance
-- expect: 37:7 destructive drop_table drops table orders
-- expect: 37:7 destructive truncate empties table customers
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
CREATE FUNCTION twice(query text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE query; EXECUTE query; END $$;
SELECT twice('DROP TABLE orders');
-- A variable whose values aren't all known.
DO $$
DECLARE
  q text := 'DROP TABLE orders';
  p text;
BEGIN
  q := current_setting('my.query');
  EXECUTE q;
  SELECT entry INTO p FROM orders_log;
  EXECUTE p;
  p := 'DROP TABLE orders';
END $$;
-- A value that is known is linted like any statement.
DO $$ DECLARE q text := 'DROP TABLE orders'; BEGIN IF random() > 0.5 THEN q := 'TRUNCATE customers'; END IF; EXECUTE q; END $$;
