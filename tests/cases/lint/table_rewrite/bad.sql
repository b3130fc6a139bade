-- expect: 2:1 blocking table_rewrite makes table orders_log unlogged, which rewrites it while reads and writes wait
ALTER TABLE orders_log SET UNLOGGED;
