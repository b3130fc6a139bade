-- mosaic-ignore: deletes_rows only old rows
DELETE FROM orders_log WHERE id IN (SELECT id FROM orders);
-- mosaic-ignore: deletes_rows only old rows
DELETE FROM orders USING customers WHERE customer_id = customers.id AND email IS NULL;
-- mosaic-ignore: deletes_rows only old rows
MERGE INTO orders USING customers ON customer_id = customers.id WHEN MATCHED AND email IS NULL THEN DELETE;
SELECT count_attic();
