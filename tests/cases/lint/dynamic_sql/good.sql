DO $$
DECLARE
  name text;
  number integer := 7;
BEGIN
  EXECUTE 'ANALYZE attic.papers';
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'attic' LOOP
    EXECUTE format('ANALYZE attic.%I', name);
    EXECUTE 'COMMENT ON TABLE attic.' || quote_ident(name) || ' IS ' || quote_literal('old');
    EXECUTE format('INSERT INTO attic.papers VALUES (%s)', number);
  END LOOP;
END $$;
CREATE FUNCTION count_rows(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
  EXECUTE 'SELECT count(*) FROM ' || name INTO found;
  RETURN found;
END $$;
DO $$
DECLARE
  q text;
  name text := 'customers';
BEGIN
  q := format('COMMENT ON TABLE orders IS %L', name);
  EXECUTE q;
END $$;
