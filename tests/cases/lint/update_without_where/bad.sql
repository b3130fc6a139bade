-- expect: 4:1 destructive update_without_where overwrites email in every row of customers
-- expect: 6:1 blocking update_without_where fills paid in every row of orders at once: rows stay locked until commit
-- expect: 7:1 destructive update_without_where overwrites email in every row of customers
UPDATE customers SET email = lower(email);
ALTER TABLE orders ADD COLUMN paid boolean;
UPDATE orders SET paid = false;
MERGE INTO customers USING orders ON true WHEN MATCHED THEN UPDATE SET email = note;
