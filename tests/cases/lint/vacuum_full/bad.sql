-- expect: 3:1 blocking vacuum_full rewrites table orders while reads and writes wait
-- expect: 4:1 blocking vacuum_full rewrites table orders while reads and writes wait
VACUUM FULL orders;
CLUSTER orders USING orders_note;
