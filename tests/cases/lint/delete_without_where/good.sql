DELETE FROM orders_log WHERE id IN (SELECT id FROM orders);
DELETE FROM orders USING customers WHERE customer_id = customers.id AND email IS NULL;
MERGE INTO orders USING customers ON customer_id = customers.id WHEN MATCHED AND email IS NULL THEN DELETE;
SELECT count_attic();
