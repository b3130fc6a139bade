DROP VIEW order_list;
CREATE VIEW order_list WITH (security_invoker = true) AS SELECT id, total, note FROM orders;
CREATE VIEW passing AS SELECT 1 AS one;
DROP VIEW passing;
