-- expect: 2:1 security disable_row_security turns off row level security of orders for whoever may read it
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
