CREATE TABLE scratch (id bigint);
DROP TABLE scratch;
DROP TABLE IF EXISTS _moved;
CREATE TEMP TABLE _moved (id bigint);
DROP TABLE IF EXISTS pg_temp._moved;
