-- expect: 9:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 10:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 11:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 12:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 13:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 15:1 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 17:8 destructive strings_setting calls off(), which turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
DO $$ BEGIN
  SET U&"standard\005fconforming_strings" = off;
  PERFORM set_config(E'standard\x5fconforming_strings', 'off', true);
  EXECUTE 'SET LOCAL standard' || '_conforming_strings TO DEFAULT';
  EXECUTE format('SET %s_conforming_strings = off', 'standard');
  EXECUTE 'ALTER ROLE CURRENT_USER SET standard' || '_conforming_strings = 0';
END $$;
DO E'BEGIN SET standard\x5fconforming_strings = off; END';
CREATE FUNCTION off() RETURNS text LANGUAGE sql AS E'SELECT set_config(''standard\x5fconforming_strings'', ''off'', true)';
SELECT off();
