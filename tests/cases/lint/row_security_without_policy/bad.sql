-- expect: 4:1 risky row_security_without_policy row-level security of customers is on, but it has no policy: only its owner can read or write rows
-- expect: 6:1 risky row_security_without_policy row-level security of notes is on, but it has no policy: only its owner can read or write rows
-- expect: 8:1 risky row_security_without_policy row-level security of notes is on, but it has no policy: only its owner can read or write rows
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE TABLE notes (id bigint PRIMARY KEY);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON notes USING (true);
DROP POLICY readable ON notes;
