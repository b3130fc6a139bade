-- migrate:down
this isn't read
-- migrate:up
CREATE TABLE a ();
CREATE TABEL b ();
