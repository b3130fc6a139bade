DO $$
BEGIN
  -- commit happens at the end
  RAISE NOTICE 'no rollback here';
END
$$;
