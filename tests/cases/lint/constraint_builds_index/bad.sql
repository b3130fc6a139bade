-- expect: 5:27 blocking constraint_builds_index adds a unique constraint to customers: builds its index, blocking reads and writes
-- expect: 6:28 blocking constraint_builds_index adds a primary key to orders_log: builds its index, blocking reads and writes
-- expect: 7:23 blocking constraint_builds_index adds a unique constraint to trips: builds its index, blocking reads and writes
-- expect: 8:28 blocking constraint_builds_index adds an exclusion constraint to orders_log: builds its index, blocking reads and writes
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE (email);
ALTER TABLE orders_log ADD PRIMARY KEY (id);
ALTER TABLE trips ADD CONSTRAINT one_trip UNIQUE (day, at);
ALTER TABLE orders_log ADD EXCLUDE USING btree (id WITH =);
