CREATE INDEX CONCURRENTLY orders_total ON orders (total);
CREATE TABLE items (id bigint);
CREATE INDEX items_id ON items (id);
CREATE INDEX trips_at ON ONLY trips (at);
CREATE INDEX CONCURRENTLY trips_2025_at ON trips_2025 (at);
ALTER INDEX trips_at ATTACH PARTITION trips_2025_at;
