-- expect: 2:1 blocking reindex_locks rebuilds indexes of orders while writes wait
REINDEX TABLE orders;
