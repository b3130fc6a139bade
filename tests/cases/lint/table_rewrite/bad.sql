-- expect: 2:1 blocking table_rewrite sets table orders_log LOGGED: rewrites it, blocking reads and writes
ALTER TABLE orders_log SET LOGGED;
