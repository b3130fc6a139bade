DO $$ BEGIN
  SET standard_conforming_strings = on;
  PERFORM set_config('standard_conforming_strings', 'on', true);
  SET lock_timeout = '5s';
  RAISE NOTICE 'standard_conforming_strings';
END $$;
