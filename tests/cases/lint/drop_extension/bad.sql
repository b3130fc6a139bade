-- expect: 2:1 destructive drop_extension drops extension vector with every column that uses it
DROP EXTENSION vector CASCADE;
