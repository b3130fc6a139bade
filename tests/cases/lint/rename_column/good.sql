ALTER TABLE orders ADD COLUMN remark text;
ALTER TABLE orders RENAME COLUMN remark TO comment;
