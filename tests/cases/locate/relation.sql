-- relation "nosuch" does not exist
INSERT INTO ►nosuch VALUES (1)
