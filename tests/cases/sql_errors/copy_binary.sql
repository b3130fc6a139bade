CREATE TABLE t (a int);
COPY t FROM stdin WITH (FORMAT binary);
\.
COPY t FROM stdin WHERE a > 1;
\.
COPY t FROM stdin WITH (ON_ERROR ignore);
\.
COPY t FROM stdin WITH (FORMAT csv, FORCE_NULL (a));
\.
