-- expect: 4:1 destructive drop_table drops table orders_log
-- expect: 5:1 destructive drop_table drops table attic.papers
-- expect: 8:3 destructive drop_table drops table customers
DROP TABLE orders_log;
DROP TABLE IF EXISTS attic.papers CASCADE;
DO $$
BEGIN
  DROP TABLE customers;
END $$;
