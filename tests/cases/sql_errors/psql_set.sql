CREATE TABLE t (a int);
\set x 5
SELECT :x;
