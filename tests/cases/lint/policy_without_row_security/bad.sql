-- expect: 3:1 security policy_without_row_security creates policy readable on customers, whose row-level security is off: it has no effect
-- expect: 5:1 security policy_without_row_security creates policy readable on notes, whose row-level security is off: it has no effect
CREATE POLICY readable ON customers FOR SELECT USING (true);
CREATE TABLE notes (id bigint PRIMARY KEY);
CREATE POLICY readable ON notes FOR SELECT USING (true);
