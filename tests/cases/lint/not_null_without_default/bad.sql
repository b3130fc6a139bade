-- expect: 2:31 risky not_null_without_default adds column orders.currency as NOT NULL without a default: fails if the table has rows
ALTER TABLE orders ADD COLUMN currency text NOT NULL;
