-- column "nope" of relation "t" does not exist
INSERT INTO t (id, ►nope) VALUES (1, 2)
