-- expect: 5:1 risky rename_table renames table orders_log to journal: running code still uses the old name
-- expect: 6:1 risky rename_table moves table trips_old to schema attic: running code still uses the old name
-- expect: 7:1 risky rename_table renames view order_list to order_index: running code still uses the old name
-- expect: 8:1 risky rename_table moves materialized view order_totals to schema attic: running code still uses the old name
ALTER TABLE orders_log RENAME TO journal;
ALTER TABLE trips_old SET SCHEMA attic;
ALTER VIEW order_list RENAME TO order_index;
ALTER MATERIALIZED VIEW order_totals SET SCHEMA attic;
