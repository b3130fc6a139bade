-- expect: 3:27 blocking constraint_builds_index adds a unique constraint to customers: its index is built while reads and writes wait
-- expect: 4:28 blocking constraint_builds_index adds a primary key to orders_log: its index is built while reads and writes wait
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE (email);
ALTER TABLE orders_log ADD PRIMARY KEY (id);
