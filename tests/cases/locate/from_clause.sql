-- missing FROM-clause entry for table "x"
SELECT t.id, ►x.id, x.b FROM t
