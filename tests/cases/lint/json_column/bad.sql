-- expect: 2:37 advice json_column orders: extra is json, which is kept as text and can't be indexed or compared
ALTER TABLE orders ADD COLUMN extra json;
