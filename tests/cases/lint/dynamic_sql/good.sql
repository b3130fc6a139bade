DO $$
BEGIN
  EXECUTE 'ANALYZE attic.papers';
END $$;
CREATE FUNCTION count_rows(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
  EXECUTE 'SELECT count(*) FROM ' || name INTO found;
  RETURN found;
END $$;
