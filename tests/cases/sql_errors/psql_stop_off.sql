\set ON_ERROR_STOP on
\set VERBOSITY verbose
\set ON_ERROR_STOP off
SELECT 1;
\echo done
\.
