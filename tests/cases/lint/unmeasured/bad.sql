-- expect: 5:1 destructive unmeasured calls a procedure, so what it does to existing rows can't be measured
-- expect: 6:1 destructive unmeasured runs a block that commits, so what it does to existing rows can't be measured
-- expect: 7:8 destructive unmeasured calls dblink_exec(), which runs SQL in another session, so what it does to existing rows can't be measured
-- expect: 8:42 destructive unmeasured calls key_of() in an index that is built outside a transaction, so what it does to existing rows can't be measured
CALL tidy();
DO $$ BEGIN PERFORM 1; COMMIT; END $$;
SELECT dblink_exec('dbname=app', 'DELETE FROM orders');
CREATE INDEX CONCURRENTLY ON orders_log (key_of(entry));
