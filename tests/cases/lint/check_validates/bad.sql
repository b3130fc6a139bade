-- expect: 3:24 blocking check_validates adds a check to orders: checks every row, blocking reads and writes
-- expect: 4:40 blocking check_validates adds a check to orders: checks every row, blocking reads and writes
ALTER TABLE orders ADD CHECK (total > 0);
ALTER TABLE orders ADD COLUMN size int CHECK (size > 0);
