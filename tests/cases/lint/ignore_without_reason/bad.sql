-- expect: 4:1 destructive drop_table drops table orders_log
-- expect: 3:1 advice ignore_without_reason mosaic-ignore of drop_table gives no reason, so it silences nothing
-- mosaic-ignore: drop_table
DROP TABLE orders_log;
