-- expect: 9:33 destructive column_values_lost changes the type of orders.note and discards its values: USING doesn't read the column
-- expect: 9:33 blocking column_type changes the type of orders.note from text to varchar(9), which rewrites the table
-- expect: 10:33 destructive column_values_lost changes the type of orders.code and truncates its values
-- expect: 10:33 blocking column_type changes the type of orders.code from varchar(20) to varchar(10), which rewrites the table
-- expect: 11:32 destructive column_values_lost changes the type of trips.cost and rounds its values
-- expect: 11:64 destructive column_values_lost changes the type of trips.at and rounds its values
-- expect: 11:32 blocking column_type changes the type of trips.cost from numeric(9,4) to integer, which rewrites the table
-- expect: 11:64 blocking column_type changes the type of trips.at from timestamptz to timestamptz(0), which rewrites the table
ALTER TABLE orders ALTER COLUMN note TYPE varchar(9) USING '';
ALTER TABLE orders ALTER COLUMN code TYPE varchar(10) USING code::varchar(10);
ALTER TABLE trips ALTER COLUMN cost TYPE integer, ALTER COLUMN at TYPE timestamptz(0);
