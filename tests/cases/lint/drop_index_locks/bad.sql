-- expect: 3:1 blocking drop_index_locks drops index orders_note, blocking reads and writes of its table
-- expect: 4:1 risky drop_index_locks drops index trips_cost of a partitioned table CONCURRENTLY: PostgreSQL refuses that
DROP INDEX orders_note;
DROP INDEX CONCURRENTLY trips_cost;
