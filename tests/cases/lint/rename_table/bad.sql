-- expect: 2:1 risky rename_table renames table orders_log to journal: running code still uses the old name
ALTER TABLE orders_log RENAME TO journal;
