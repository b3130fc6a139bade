-- expect: 3:1 security disable_triggers turns off all triggers, foreign keys included, of orders
-- expect: 4:1 security disable_triggers turns off triggers and foreign keys of all tables for what follows
ALTER TABLE orders DISABLE TRIGGER ALL;
SET session_replication_role = replica;
