-- column "nope" of relation "t" does not exist
ALTER TABLE t DROP COLUMN ►nope
