-- relation "t" already exists
CREATE TABLE ►t (id int)
