-- expect: 3:1 blocking vacuum_full rewrites table orders, blocking reads and writes
-- expect: 4:1 blocking vacuum_full rewrites table orders, blocking reads and writes
VACUUM FULL orders;
CLUSTER orders USING orders_note;
