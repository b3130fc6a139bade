-- expect: 7:1 destructive protected_rows deletes rows of customers
-- expect: 8:1 destructive protected_rows overwrites email in rows of customers
-- expect: 9:1 destructive protected_rows overwrites email in rows of customers
-- expect: 10:1 destructive protected_rows deletes rows of customers
-- expect: 11:1 destructive protected_rows deletes rows of attic.papers
-- protected: customers, attic.papers
DELETE FROM customers WHERE id = 7;
UPDATE customers SET email = lower(email) WHERE email <> lower(email);
INSERT INTO customers VALUES (1, 'a@example.org') ON CONFLICT (id) DO UPDATE SET email = excluded.email;
MERGE INTO customers c USING orders o ON o.customer_id = c.id WHEN MATCHED THEN DELETE;
WITH gone AS (DELETE FROM attic.papers WHERE id = 7 RETURNING id) SELECT count(*) FROM gone;
