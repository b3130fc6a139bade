-- expect: 9:1 destructive delete_without_where deletes every row of orders_log
-- expect: 10:1 destructive delete_without_where deletes every row of orders
-- expect: 11:1 destructive delete_without_where deletes every row of customers
-- expect: 12:1 destructive delete_without_where deletes every row of orders
-- expect: 13:1 destructive delete_without_where deletes every row of attic.papers
-- expect: 14:1 destructive delete_without_where deletes every row of orders
-- expect: 15:1 destructive delete_without_where deletes every row of orders that isn't in the source
-- expect: 16:1 destructive delete_without_where deletes every row of orders_log
DELETE FROM orders_log;
DELETE FROM orders WHERE true;
WITH gone AS (DELETE FROM customers RETURNING id) SELECT count(*) FROM gone;
DELETE FROM orders USING customers;
INSERT INTO orders_log WITH gone AS (DELETE FROM attic.papers WHERE id = id RETURNING id) SELECT id FROM gone;
MERGE INTO orders USING customers ON true WHEN MATCHED THEN DELETE;
MERGE INTO orders USING customers ON customer_id = customers.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
EXPLAIN ANALYZE DELETE FROM orders_log;
