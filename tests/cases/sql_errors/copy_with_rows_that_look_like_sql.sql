CREATE TABLE t (a text);
COPY t (a) FROM stdin WITH (FORMAT text);
select;it's	\N
\.
