-- column "nope" does not exist
►SELECT nope FROM t WHERE nope = 1
