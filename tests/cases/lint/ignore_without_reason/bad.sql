-- expect: 4:1 destructive drop_table drops table orders_log
-- expect: 3:1 advice ignore_without_reason mosaic-ignore for drop_table has no reason, so it has no effect
-- mosaic-ignore: drop_table
DROP TABLE orders_log;
