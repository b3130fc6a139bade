-- column t.nope does not exist
SELECT t.id, ►t.nope FROM t
