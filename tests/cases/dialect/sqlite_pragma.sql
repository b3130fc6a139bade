PRAGMA foreign_keys = ON;
CREATE TABLE t (id int);
