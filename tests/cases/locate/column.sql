-- column "nope" does not exist
SELECT ünï, ►nope FROM t
