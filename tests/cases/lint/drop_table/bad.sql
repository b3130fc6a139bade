-- expect: 6:1 destructive drop_table drops table orders_log
-- expect: 7:1 destructive drop_table drops table attic.papers
-- expect: 10:3 destructive drop_table drops table customers
-- expect: 13:1 destructive drop_table drops table order_notes
-- expect: 15:56 destructive drop_table drops table trips_old
DROP TABLE orders_log;
DROP TABLE IF EXISTS attic.papers CASCADE;
DO $$
BEGIN
  DROP TABLE customers;
END $$;
CREATE SCHEMA other CREATE TABLE order_notes (id bigint);
DROP TABLE order_notes;
BEGIN;
CREATE TEMP TABLE trips_old (id bigint); DISCARD TEMP; DROP TABLE trips_old;
COMMIT;
