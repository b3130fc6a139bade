-- expect: 3:1 blocking set_not_null sets orders.total NOT NULL: checks every row, blocking reads and writes
-- expect: 4:1 blocking set_not_null sets orders.code NOT NULL: checks every row, blocking reads and writes
ALTER TABLE orders ALTER COLUMN total SET NOT NULL;
ALTER TABLE orders ADD CONSTRAINT has_code NOT NULL code;
