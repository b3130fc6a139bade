-- type "nosuch" does not exist
CREATE TABLE nosuch_too (
  id int,
  a ►nosuch)
