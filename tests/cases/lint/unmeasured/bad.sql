-- expect: 3:1 destructive unmeasured calls a procedure, so what it does to existing rows can't be measured
-- expect: 4:1 destructive unmeasured runs a block that commits, so what it does to existing rows can't be measured
CALL tidy();
DO $$ BEGIN PERFORM 1; COMMIT; END $$;
