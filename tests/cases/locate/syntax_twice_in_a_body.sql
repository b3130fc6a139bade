-- syntax error at or near "x"
►CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ begin x x; end $$
