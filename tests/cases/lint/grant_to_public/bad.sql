-- expect: 3:27 security grant_to_public grants SELECT on orders to PUBLIC: to every role
-- expect: 4:49 security grant_to_public grants all rights on everything made later to PUBLIC: to every role
GRANT SELECT ON orders TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
