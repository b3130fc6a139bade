-- there is no parameter $1
INSERT INTO t VALUES (f(►$1))
