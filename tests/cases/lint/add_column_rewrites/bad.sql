-- expect: 4:31 blocking add_column_rewrites adds column orders.token with a default computed per row (gen_random_uuid()), which rewrites the table
-- expect: 5:31 blocking add_column_rewrites adds column orders.number as a serial, which rewrites the table
-- expect: 6:31 blocking add_column_rewrites adds column orders.double as a stored generated column, which rewrites the table
ALTER TABLE orders ADD COLUMN token uuid DEFAULT gen_random_uuid();
ALTER TABLE orders ADD COLUMN number bigserial;
ALTER TABLE orders ADD COLUMN double int GENERATED ALWAYS AS (total * 2) STORED;
