-- column "nope" does not exist
CREATE INDEX ON t (►nope)
