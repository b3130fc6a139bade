-- expect: 2:1 risky rewrite_rule creates rule keep, which replaces every DELETE on orders_log
CREATE RULE keep AS ON DELETE TO orders_log DO INSTEAD NOTHING;
