-- expect: 2:1 risky rename_column renames column orders.note to remark: running code still uses the old name
ALTER TABLE orders RENAME COLUMN note TO remark;
