-- expect: 6:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 7:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 8:3 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
-- expect: 10:1 destructive strings_setting turns standard_conforming_strings off: what the SQL after it destroys can't be known, because PostgreSQL reads its strings otherwise than they are checked here
DO $$ BEGIN
  SET U&"standard\005fconforming_strings" = off;
  PERFORM set_config(E'standard\x5fconforming_strings', 'off', true);
  EXECUTE E'ALTER ROLE CURRENT_USER SET standard\x5fconforming_strings = 0';
END $$;
DO E'BEGIN SET standard\x5fconforming_strings = off; END';
