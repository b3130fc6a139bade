INSERT INTO customers SELECT id, note FROM orders
  ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email WHERE customers.email IS NULL;
INSERT INTO customers SELECT id, note FROM orders ON CONFLICT (id) DO NOTHING;
INSERT INTO customers SELECT id, note FROM orders ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id;
INSERT INTO customers VALUES (1, 'a@example.com') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email;
ALTER TABLE customers ADD COLUMN spent bigint;
INSERT INTO customers SELECT id, note, total FROM orders ON CONFLICT (id) DO UPDATE SET spent = EXCLUDED.spent;
