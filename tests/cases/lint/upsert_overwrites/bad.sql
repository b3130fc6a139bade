-- expect: 4:1 destructive upsert_overwrites overwrites email in every row of customers that conflicts with a selected one
-- expect: 5:1 destructive upsert_overwrites overwrites email in every row of customers that conflicts with a selected one
-- expect: 7:1 destructive upsert_overwrites overwrites email in every row of customers that conflicts with a selected one
INSERT INTO customers SELECT id, '' FROM orders ON CONFLICT (id) DO UPDATE SET email = '';
INSERT INTO customers SELECT id, note FROM orders
  ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id, email = EXCLUDED.email WHERE true;
INSERT INTO customers SELECT g, '' FROM generate_series(1, 1000) g ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email;
