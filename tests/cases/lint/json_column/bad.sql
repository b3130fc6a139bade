-- expect: 2:37 advice json_column column extra of orders is json, which is stored as text and can't be indexed or compared
ALTER TABLE orders ADD COLUMN extra json;
