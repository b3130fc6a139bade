-- protected: customers
-- mosaic-ignore: deletes_rows a test order
DELETE FROM orders WHERE id = 7;
ALTER TABLE customers ADD COLUMN domain text;
UPDATE customers SET domain = split_part(email, '@', 2) WHERE email LIKE '%@%';
UPDATE customers SET email = 'unknown@example.org' WHERE email IS NULL AND id < 1000;
INSERT INTO customers VALUES (1, 'a@example.org') ON CONFLICT DO NOTHING;
