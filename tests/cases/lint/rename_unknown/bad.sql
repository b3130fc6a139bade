-- expect: 5:3 destructive rename_unknown renames orders_log to a name computed at run time
-- expect: 5:3 risky rename_table renames table orders_log to "…": running code still uses the old name
DO $$
BEGIN
  EXECUTE format('ALTER TABLE orders_log RENAME TO %I', 'orders_log_' || to_char(now(), 'YYYY'));
END $$;
