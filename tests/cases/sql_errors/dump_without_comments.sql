\restrict abc
\connect app

SET client_encoding = 'LATIN1';
CREATE TABLE public.t (id integer);
ALTER TABLE public.t OWNER TO postgres;
CREATE TABLE public.u (id integer);
ALTER TABLE public.u OWNER TO postgres;
COPY public.t (id) FROM stdin;
1
2	3
\.
GRANT SELECT ON TABLE public.t TO reader;
CREATE DATABASE other;
\unrestrict abc
