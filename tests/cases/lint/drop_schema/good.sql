CREATE SCHEMA workshop;
CREATE TABLE workshop.tools (id bigint);
DROP SCHEMA workshop CASCADE;
