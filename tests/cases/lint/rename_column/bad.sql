-- expect: 3:1 risky rename_column renames column orders.note to remark: running code still uses the old name
-- expect: 4:1 risky rename_column renames column order_list.total to sum: running code still uses the old name
ALTER TABLE orders RENAME COLUMN note TO remark;
ALTER VIEW order_list RENAME COLUMN total TO sum;
