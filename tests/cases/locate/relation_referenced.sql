-- relation "nosuch" does not exist
CREATE TABLE z (id int REFERENCES ►nosuch)
