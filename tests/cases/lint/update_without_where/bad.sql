-- expect: 3:1 destructive update_without_where overwrites email in every row of customers
-- expect: 5:1 blocking update_without_where fills paid in every row of orders at once: they stay locked until it commits
UPDATE customers SET email = lower(email);
ALTER TABLE orders ADD COLUMN paid boolean;
UPDATE orders SET paid = false;
