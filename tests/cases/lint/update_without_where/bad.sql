-- expect: 6:1 destructive update_without_where overwrites email in every row of customers
-- expect: 8:1 blocking update_without_where fills paid in every row of orders at once: rows stay locked until commit
-- expect: 9:1 destructive update_without_where overwrites email in every row of customers
-- expect: 11:1 blocking update_without_where fills channel in every row of orders at once: rows stay locked until commit
-- expect: 12:1 blocking update_without_where fills source in every row of orders at once: rows stay locked until commit
UPDATE customers SET email = lower(email);
ALTER TABLE orders ADD COLUMN paid boolean;
UPDATE orders SET paid = false;
MERGE INTO customers USING orders ON true WHEN MATCHED THEN UPDATE SET email = note;
ALTER TABLE orders ADD COLUMN channel text, ADD COLUMN source text;
UPDATE orders SET channel = 'shop' WHERE channel IS NULL;
UPDATE orders SET source = 'web' WHERE NOT (source IS NOT NULL);
