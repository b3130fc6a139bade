-- mosaic: transaction=false
ALTER TABLE orders ADD CONSTRAINT total_not_null CHECK (total IS NOT NULL) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_not_null;
ALTER TABLE orders ALTER COLUMN total SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT total_not_null;
ALTER TABLE orders ADD CONSTRAINT has_code NOT NULL code NOT VALID;
CREATE TABLE lines (id bigint NOT NULL);
