-- expect: 2:1 blocking refresh_locks refreshes order_totals, blocking reads
REFRESH MATERIALIZED VIEW order_totals;
