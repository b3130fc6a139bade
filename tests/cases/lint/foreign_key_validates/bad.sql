-- expect: 3:24 blocking foreign_key_validates adds a foreign key from orders to customers: checks every row, blocking writes to both tables
-- expect: 5:1 blocking foreign_key_validates enforces foreign key orders_log.log_order: checks every row, blocking writes to both tables
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE orders_log ADD CONSTRAINT log_order FOREIGN KEY (id) REFERENCES orders NOT ENFORCED;
ALTER TABLE orders_log ALTER CONSTRAINT log_order ENFORCED;
