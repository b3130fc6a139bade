-- expect: 2:1 blocking set_not_null makes orders.total NOT NULL: every row is checked while reads and writes wait
ALTER TABLE orders ALTER COLUMN total SET NOT NULL;
