-- column "nope" does not exist
SELECT "NOPE", ►NoPe FROM t
