-- expect: 2:1 blocking drop_index_locks drops index orders_note while reads and writes of its table wait
DROP INDEX orders_note;
