-- expect: 4:27 blocking constraint_builds_index adds a unique constraint to customers: builds its index, blocking reads and writes
-- expect: 5:28 blocking constraint_builds_index adds a primary key to orders_log: builds its index, blocking reads and writes
-- expect: 6:23 blocking constraint_builds_index adds a unique constraint to trips: builds its index, blocking reads and writes
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE (email);
ALTER TABLE orders_log ADD PRIMARY KEY (id);
ALTER TABLE trips ADD CONSTRAINT one_trip UNIQUE (day, at);
