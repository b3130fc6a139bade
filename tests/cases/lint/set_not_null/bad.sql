-- expect: 2:1 blocking set_not_null sets orders.total NOT NULL: checks every row, blocking reads and writes
ALTER TABLE orders ALTER COLUMN total SET NOT NULL;
