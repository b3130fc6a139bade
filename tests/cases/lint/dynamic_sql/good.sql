DO $$
BEGIN
  EXECUTE 'ANALYZE attic.papers';
  INSERT INTO attic.papers VALUES (1);
END $$;
