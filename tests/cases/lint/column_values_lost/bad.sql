-- expect: 19:33 destructive column_values_lost changes the type of orders.note and discards its values: USING doesn't read the column
-- expect: 19:33 blocking column_type changes the type of orders.note from text to varchar(9), which rewrites the table
-- expect: 20:33 destructive column_values_lost changes the type of orders.code and truncates its values
-- expect: 20:33 blocking column_type changes the type of orders.code from varchar(20) to varchar(10), which rewrites the table
-- expect: 21:32 destructive column_values_lost changes the type of trips.cost and rounds its values
-- expect: 21:64 destructive column_values_lost changes the type of trips.at and rounds its values
-- expect: 21:32 blocking column_type changes the type of trips.cost from numeric(9,4) to integer, which rewrites the table
-- expect: 21:64 blocking column_type changes the type of trips.at from timestamptz to timestamptz(0), which rewrites the table
-- expect: 22:33 destructive column_values_lost changes the type of orders.code and computes its values with left(), from which the old ones can't be recovered
-- expect: 22:33 blocking column_type changes the type of orders.code from varchar(10) to varchar(1), which rewrites the table
-- expect: 23:33 destructive column_values_lost changes the type of orders.note and computes its values with operator =, from which the old ones can't be recovered
-- expect: 23:33 blocking column_type changes the type of orders.note from varchar(9) to boolean, which rewrites the table
-- expect: 24:33 destructive column_values_lost changes the type of orders.note and computes its values with lower(), from which the old ones can't be recovered
-- expect: 24:33 blocking column_type changes the type of orders.note from boolean to text, which rewrites the table
-- expect: 25:33 destructive column_values_lost changes the type of orders.total and computes its values with operator /, from which the old ones can't be recovered
-- expect: 25:33 blocking column_type changes the type of orders.total from integer to integer, which rewrites the table
-- expect: 26:33 destructive column_values_lost changes the type of orders.note and computes its values with CASE, from which the old ones can't be recovered
-- expect: 26:33 blocking column_type changes the type of orders.note from text to text, which rewrites the table
ALTER TABLE orders ALTER COLUMN note TYPE varchar(9) USING '';
ALTER TABLE orders ALTER COLUMN code TYPE varchar(10) USING code::varchar(10);
ALTER TABLE trips ALTER COLUMN cost TYPE integer, ALTER COLUMN at TYPE timestamptz(0);
ALTER TABLE orders ALTER COLUMN code TYPE varchar(1) USING left(code, 1);
ALTER TABLE orders ALTER COLUMN note TYPE boolean USING note = 'yes';
ALTER TABLE orders ALTER COLUMN note TYPE text USING lower(note);
ALTER TABLE orders ALTER COLUMN total TYPE integer USING total / 100;
ALTER TABLE orders ALTER COLUMN note TYPE text USING CASE WHEN note = 'a' THEN 'b' END;
