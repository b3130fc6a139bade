-- expect: 2:1 security disable_row_security disables row-level security on orders for everyone who can read it
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
