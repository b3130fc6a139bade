-- expect: 3:1 security definer_search_path function answer runs with its owner's privileges but its caller's search_path
-- expect: 4:1 security definer_search_path function touch runs with its owner's privileges but its caller's search_path
CREATE FUNCTION answer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 42';
ALTER FUNCTION touch() SECURITY DEFINER;
