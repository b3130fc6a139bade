-- expect: 4:1 destructive truncate empties table orders_log
-- expect: 5:1 destructive truncate empties table customers, and every table that references it
-- expect: 5:1 destructive truncate empties table orders, and every table that references it
TRUNCATE orders_log;
TRUNCATE TABLE customers, orders CASCADE;
