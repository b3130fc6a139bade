-- expect: 2:1 blocking drop_index_locks drops index orders_note, blocking reads and writes of its table
DROP INDEX orders_note;
