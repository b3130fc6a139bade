-- operator does not exist: text = integer
►SELECT a = 1, b = 2 FROM t
