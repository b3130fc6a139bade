-- expect: 2:1 destructive drop_schema drops schema attic with everything in it
DROP SCHEMA attic CASCADE;
