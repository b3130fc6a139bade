-- expect: 2:1 blocking refresh_locks refreshes order_totals while reads of it wait
REFRESH MATERIALIZED VIEW order_totals;
