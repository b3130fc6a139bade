-- relation "l.nosuch" does not exist
SELECT nosuch FROM t JOIN ►l.nosuch n ON true
