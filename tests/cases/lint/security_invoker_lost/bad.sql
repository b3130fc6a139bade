-- expect: 2:1 security security_invoker_lost replaces view order_list without security_invoker, which it has now: it will read with its owner's privileges
CREATE OR REPLACE VIEW order_list AS SELECT id, total FROM orders WHERE total > 0;
ALTER VIEW order_list RESET (security_invoker);
