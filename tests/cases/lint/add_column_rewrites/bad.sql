-- expect: 5:31 blocking add_column_rewrites adds column orders.token with a default computed per row (gen_random_uuid()), which rewrites the table
-- expect: 6:31 blocking add_column_rewrites adds column orders.number as a serial, which rewrites the table
-- expect: 7:31 blocking add_column_rewrites adds column orders.double as a stored generated column, which rewrites the table
-- expect: 9:31 blocking add_column_rewrites adds column orders.score of a domain with a constraint, which rewrites the table
ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();
ALTER TABLE orders ADD COLUMN number bigserial;
ALTER TABLE orders ADD COLUMN double int GENERATED ALWAYS AS (total * 2) STORED;
CREATE DOMAIN score AS int CHECK (VALUE > 0);
ALTER TABLE orders ADD COLUMN score score;
