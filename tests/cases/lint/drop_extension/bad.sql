-- expect: 2:1 destructive drop_extension drops extension vector and every column that uses it
DROP EXTENSION vector CASCADE;
