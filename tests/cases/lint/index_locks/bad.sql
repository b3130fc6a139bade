-- expect: 2:1 blocking index_locks builds index orders_total on orders while writes wait
CREATE INDEX orders_total ON orders (total);
