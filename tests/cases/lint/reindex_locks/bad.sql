-- expect: 2:1 blocking reindex_locks rebuilds indexes of orders, blocking writes
REINDEX TABLE orders;
