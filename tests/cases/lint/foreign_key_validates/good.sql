-- mosaic: transaction=false
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_customer;
ALTER TABLE orders ADD COLUMN payer_id bigint REFERENCES customers;
ALTER TABLE orders ALTER CONSTRAINT orders_customer DEFERRABLE;
