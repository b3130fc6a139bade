-- relation "nosuch" does not exist
SELECT * FROM ►nosuch a JOIN nosuch b ON true
