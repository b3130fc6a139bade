-- expect: 3:27 security grant_to_public grants SELECT on orders to PUBLIC (every role)
-- expect: 4:49 security grant_to_public grants all privileges on all future objects to PUBLIC (every role)
GRANT SELECT ON orders TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
