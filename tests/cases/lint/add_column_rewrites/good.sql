ALTER TABLE orders ADD COLUMN seen_at timestamptz DEFAULT now();
ALTER TABLE orders ADD COLUMN token uuid;
ALTER TABLE orders ALTER COLUMN token SET DEFAULT gen_random_uuid();
ALTER TABLE orders ADD COLUMN doubled integer GENERATED ALWAYS AS (total * 2);
ALTER TABLE orders ADD COLUMN tripled integer GENERATED ALWAYS AS (total * 3) VIRTUAL;
ALTER TABLE orders ADD COLUMN summary short;
ALTER TABLE orders ADD COLUMN summaries short[];
