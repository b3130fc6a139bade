-- expect: 2:1 destructive drop_schema drops schema attic and everything in it
DROP SCHEMA attic CASCADE;
