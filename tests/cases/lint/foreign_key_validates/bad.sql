-- expect: 2:24 blocking foreign_key_validates adds a foreign key from orders to customers: checks every row, blocking writes to both tables
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers;
