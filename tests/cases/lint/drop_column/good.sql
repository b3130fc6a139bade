ALTER TABLE orders ADD COLUMN draft text;
ALTER TABLE orders DROP COLUMN draft;
