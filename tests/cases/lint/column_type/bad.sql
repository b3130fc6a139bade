-- expect: 5:33 blocking column_type changes the type of orders.total from integer to bigint, which rewrites the table
-- expect: 6:33 blocking column_type changes the type of orders.code from varchar(20) to varchar(10), which rewrites the table
DROP VIEW order_list;
DROP MATERIALIZED VIEW order_totals;
ALTER TABLE orders ALTER COLUMN total TYPE bigint;
ALTER TABLE orders ALTER COLUMN code TYPE varchar(10);
