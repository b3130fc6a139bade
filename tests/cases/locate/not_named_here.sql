-- duplicate key value violates unique constraint "t_pkey"
►INSERT INTO t VALUES (1)
