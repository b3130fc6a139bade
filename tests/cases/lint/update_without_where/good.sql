UPDATE customers SET email = lower(email) WHERE email <> lower(email);
ALTER TABLE orders ADD COLUMN channel text DEFAULT 'shop', ADD COLUMN source text;
UPDATE orders SET channel = 'web' WHERE channel IS NULL;
UPDATE orders SET source = 'web' WHERE source IS NULL AND id < 1000;
