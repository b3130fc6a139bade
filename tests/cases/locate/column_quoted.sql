-- column "My Col" does not exist
SELECT my, ►"My Col" FROM t
