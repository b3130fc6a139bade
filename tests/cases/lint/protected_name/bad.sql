-- expect: 6:1 destructive protected_name renames orders_log to orders_journal, which policy.protected_tables doesn't list
-- expect: 6:1 risky rename_table renames table orders_log to orders_journal: running code still uses the old name
-- expect: 7:1 destructive protected_name renames attic.papers to public.papers, which policy.protected_tables doesn't list
-- expect: 7:1 risky rename_table moves table attic.papers to schema public: running code still uses the old name
-- protected: orders_log, attic.papers
ALTER TABLE orders_log RENAME TO orders_journal;
ALTER TABLE attic.papers SET SCHEMA public;
