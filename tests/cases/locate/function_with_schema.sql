-- function l.nofunc(integer) does not exist
SELECT ►l.nofunc(1)
