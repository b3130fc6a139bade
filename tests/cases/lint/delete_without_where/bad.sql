-- expect: 4:1 destructive delete_without_where deletes every row of orders_log
-- expect: 5:1 destructive delete_without_where deletes every row of orders
-- expect: 6:1 destructive delete_without_where deletes every row of customers
DELETE FROM orders_log;
DELETE FROM orders WHERE true;
WITH gone AS (DELETE FROM customers RETURNING id) SELECT count(*) FROM gone;
