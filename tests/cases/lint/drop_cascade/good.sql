DROP COLLATION plain;
-- mosaic-ignore: drop_object nothing reads it
DROP VIEW papers_list CASCADE;
