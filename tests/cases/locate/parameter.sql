-- there is no parameter $2
SELECT a, '$2', ►$2, $2 FROM t
