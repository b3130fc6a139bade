-- relation "nosuch" does not exist
SELECT * FROM a.nosuch JOIN ►nosuch ON true
