-- syntax error at or near "retrun"
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $b$ begin ►retrun 1; end $b$
