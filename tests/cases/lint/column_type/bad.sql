-- expect: 7:33 blocking column_type changes the type of orders.total from integer to bigint, which rewrites the table
-- expect: 8:33 blocking column_type changes the type of orders.code from varchar(20) to varchar(10), which rewrites the table
-- expect: 5:1 destructive drop_object drops view order_list
-- expect: 6:1 destructive drop_object drops materialized view order_totals
DROP VIEW order_list;
DROP MATERIALIZED VIEW order_totals;
ALTER TABLE orders ALTER COLUMN total TYPE bigint;
ALTER TABLE orders ALTER COLUMN code TYPE varchar(10);
