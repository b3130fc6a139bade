-- expect: 3:1 security disable_triggers disables all triggers and foreign keys on orders
-- expect: 4:1 security disable_triggers disables triggers and foreign keys on all tables from here on
ALTER TABLE orders DISABLE TRIGGER ALL;
SET session_replication_role = replica;
