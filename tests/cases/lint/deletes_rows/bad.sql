-- expect: 6:1 destructive deletes_rows deletes the rows of orders_log that match its condition
-- expect: 7:1 destructive deletes_rows deletes the rows of orders that match its condition
-- expect: 8:1 destructive deletes_rows deletes the rows of orders that match its condition
-- expect: 9:1 destructive deletes_rows deletes the rows of orders that match its condition
-- expect: 10:1 destructive deletes_rows deletes the rows of papers_list that match its condition
DELETE FROM orders_log WHERE id > 0;
WITH gone AS (DELETE FROM orders WHERE id < 1000 RETURNING id) SELECT count(*) FROM gone;
DELETE FROM orders USING customers WHERE customer_id = customers.id AND email IS NULL;
MERGE INTO orders USING customers ON customer_id = customers.id WHEN MATCHED AND email IS NULL THEN DELETE;
DELETE FROM papers_list WHERE id = 1;
