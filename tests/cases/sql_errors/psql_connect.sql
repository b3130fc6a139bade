\connect app
CREATE TABLE a ();
