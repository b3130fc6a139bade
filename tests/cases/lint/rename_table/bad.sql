-- expect: 2:1 risky rename_table renames table orders_log to journal: what is running now asks for the old name
ALTER TABLE orders_log RENAME TO journal;
