-- mosaic-ignore: drop_table it was never used
DROP TABLE orders_log;
-- mosaic-ignore: index_locks a few rows only
CREATE INDEX customers_email ON customers (email);
