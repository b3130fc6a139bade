-- expect: 2:1 blocking index_locks builds index orders_total on orders, blocking writes
CREATE INDEX orders_total ON orders (total);
