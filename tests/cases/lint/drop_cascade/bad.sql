-- expect: 2:1 destructive drop_cascade drops collation plain and every column that uses it
DROP COLLATION plain CASCADE;
