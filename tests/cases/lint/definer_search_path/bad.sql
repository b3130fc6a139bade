-- expect: 3:1 security definer_search_path function answer runs with its owner's rights and with the search_path of whoever calls it
-- expect: 4:1 security definer_search_path function touch runs with its owner's rights and with the search_path of whoever calls it
CREATE FUNCTION answer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 42';
ALTER FUNCTION touch() SECURITY DEFINER;
