CREATE TABLE numbers AS SELECT 1 AS n;
DELETE FROM numbers WHERE n > 0;
UPDATE orders SET note = 'deleted' WHERE id < 1000;
