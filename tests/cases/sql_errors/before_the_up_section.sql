-- helpers
CREATE TABLE lost ();

-- migrate:up
CREATE TABLE a ();
-- migrate:down
DROP TABLE a;
