-- expect: 4:24 blocking check_validates adds a check to orders: checks every row, blocking reads and writes
-- expect: 5:40 blocking check_validates adds a check to orders: checks every row, blocking reads and writes
-- expect: 6:1 blocking check_validates adds a check to domain short: checks every row of every table that uses it, blocking writes
ALTER TABLE orders ADD CHECK (total > 0);
ALTER TABLE orders ADD COLUMN size int CHECK (size > 0);
ALTER DOMAIN short ADD CONSTRAINT shorter CHECK (length(value) < 3);
