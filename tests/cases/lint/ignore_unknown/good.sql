-- mosaic-ignore: drop_table it was never used
DROP TABLE orders_log;
