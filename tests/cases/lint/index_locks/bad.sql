-- expect: 6:1 blocking index_locks builds index orders_total on orders, blocking writes
-- expect: 7:1 blocking index_locks builds index trips_at on trips, blocking writes
-- expect: 8:1 risky index_locks builds index trips_at_2 CONCURRENTLY on partitioned table trips: PostgreSQL refuses that
-- expect: 10:1 blocking index_locks builds index customers_email on customers, blocking writes
-- expect: 11:7 blocking index_locks builds index orders_code on orders, blocking writes
CREATE INDEX orders_total ON orders (total);
CREATE INDEX trips_at ON trips (at);
CREATE INDEX CONCURRENTLY trips_at_2 ON trips (at);
CREATE TABLE IF NOT EXISTS customers (id bigint PRIMARY KEY, email text);
CREATE INDEX customers_email ON customers (email);
DO $$ BEGIN CREATE INDEX orders_code ON orders (code); END $$;
