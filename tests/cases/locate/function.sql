-- function nofunc(integer) does not exist
SELECT id, ►nofunc(id) FROM t
