-- The schema before each case.
CREATE TABLE customers (id bigint PRIMARY KEY, email text);
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  total integer,
  note text,
  code varchar(20),
  customer_id bigint,
  placed_at timestamptz
);
CREATE INDEX orders_note ON orders (note);
CREATE TABLE orders_log (id bigint, entry text);
CREATE VIEW order_list WITH (security_invoker = true) AS SELECT id, total FROM orders;
CREATE MATERIALIZED VIEW order_totals AS SELECT id, total FROM orders;
CREATE UNIQUE INDEX order_totals_id ON order_totals (id);
CREATE TYPE mood AS ENUM ('fine');
CREATE SCHEMA attic;
CREATE TABLE attic.papers (id bigint);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE TYPE place AS (street text, town text);
CREATE COLLATION plain FROM "C";
CREATE TABLE trips (day date, at timestamptz, cost numeric(9,4)) PARTITION BY RANGE (day);
CREATE TABLE trips_2025 PARTITION OF trips FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE VIEW papers_list AS SELECT id FROM attic.papers;
CREATE FUNCTION empty_attic() RETURNS void LANGUAGE sql AS 'DELETE FROM attic.papers';
CREATE FUNCTION count_attic() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM attic.papers';
CREATE TABLE trips_old (LIKE trips);
CREATE TABLE trips_older (LIKE trips);
CREATE INDEX trips_cost ON trips (cost);
CREATE MATERIALIZED VIEW later AS SELECT id FROM orders WITH NO DATA;
CREATE POLICY all_orders ON orders USING (true);
CREATE DOMAIN short AS text;
CREATE PROCEDURE tidy() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE SEQUENCE ticket_numbers;
