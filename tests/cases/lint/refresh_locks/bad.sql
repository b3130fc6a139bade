-- expect: 3:1 blocking refresh_locks refreshes order_totals, blocking reads
-- expect: 4:1 risky refresh_locks refreshes later CONCURRENTLY, but it is WITH NO DATA: PostgreSQL refuses that
REFRESH MATERIALIZED VIEW order_totals;
REFRESH MATERIALIZED VIEW CONCURRENTLY later;
