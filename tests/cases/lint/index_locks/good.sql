CREATE INDEX CONCURRENTLY orders_total ON orders (total);
CREATE TABLE items (id bigint);
CREATE INDEX items_id ON items (id);
