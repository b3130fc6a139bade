-- operator does not exist: text = integer
SELECT 'a = b', é ►= 1 FROM t
