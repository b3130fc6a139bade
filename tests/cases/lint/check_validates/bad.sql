-- expect: 3:24 blocking check_validates adds a check to orders: every row is checked while reads and writes wait
-- expect: 4:40 blocking check_validates adds a check to orders: every row is checked while reads and writes wait
ALTER TABLE orders ADD CHECK (total > 0);
ALTER TABLE orders ADD COLUMN size int CHECK (size > 0);
