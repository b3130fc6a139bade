-- expect: 13:1 destructive delete_without_where deletes every row of orders_log
-- expect: 14:1 destructive delete_without_where deletes every row of orders
-- expect: 15:1 destructive delete_without_where deletes every row of customers
-- expect: 16:1 destructive delete_without_where deletes every row of orders
-- expect: 17:1 destructive delete_without_where deletes every row of attic.papers
-- expect: 18:1 destructive delete_without_where deletes every row of orders
-- expect: 19:1 destructive delete_without_where deletes every row of orders that isn't in the source
-- expect: 20:1 destructive delete_without_where deletes every row of orders_log
-- expect: 21:8 destructive delete_without_where calls empty_attic(), which deletes every row of attic.papers
-- expect: 22:7 destructive delete_without_where calls empty_attic(), which deletes every row of attic.papers
-- expect: 27:1 risky delete_without_where creates trigger forgets on orders_log: its function forget() deletes every row of attic.papers
-- expect: 28:1 destructive delete_without_where writes to orders_log, whose trigger forgets deletes every row of attic.papers
DELETE FROM orders_log;
DELETE FROM orders WHERE true;
WITH gone AS (DELETE FROM customers RETURNING id) SELECT count(*) FROM gone;
DELETE FROM orders USING customers;
INSERT INTO orders_log WITH gone AS (DELETE FROM attic.papers WHERE id = id RETURNING id) SELECT id FROM gone;
MERGE INTO orders USING customers ON true WHEN MATCHED THEN DELETE;
MERGE INTO orders USING customers ON customer_id = customers.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
EXPLAIN ANALYZE DELETE FROM orders_log;
SELECT empty_attic();
DO $$ BEGIN PERFORM empty_attic(); END $$;
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  DELETE FROM attic.papers;
  RETURN NEW;
END $$;
CREATE TRIGGER forgets AFTER INSERT ON orders_log EXECUTE FUNCTION forget();
INSERT INTO orders_log VALUES (1, 'x');
