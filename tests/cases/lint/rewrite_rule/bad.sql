-- expect: 2:1 risky rewrite_rule makes rule keep: from now on DELETE on orders_log does something else than it says
CREATE RULE keep AS ON DELETE TO orders_log DO INSTEAD NOTHING;
