-- expect: 3:8 advice unread_function calls tidy(), which is written in plpython3u: what it does can't be checked
CREATE FUNCTION tidy() RETURNS void LANGUAGE plpython3u AS $$ plpy.execute("…") $$;
SELECT tidy();
