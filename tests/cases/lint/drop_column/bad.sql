-- expect: 3:1 destructive drop_column drops column orders.note
-- expect: 3:1 destructive drop_column drops column orders.code
ALTER TABLE orders
  DROP COLUMN note,
  DROP COLUMN code;
