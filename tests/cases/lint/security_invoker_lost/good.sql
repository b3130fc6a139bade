CREATE OR REPLACE VIEW order_list WITH (security_invoker = true) AS SELECT id, total FROM orders WHERE total > 0;
