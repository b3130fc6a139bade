-- mosaic: transaction=false
ALTER TABLE orders ADD CONSTRAINT total_positive CHECK (total > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT total_positive;
ALTER DOMAIN short ADD CONSTRAINT shorter CHECK (length(value) < 3) NOT VALID;
CREATE DOMAIN positive AS integer;
ALTER DOMAIN positive ADD CONSTRAINT positive_value CHECK (VALUE > 0);
