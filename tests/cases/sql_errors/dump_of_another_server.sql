--
-- PostgreSQL database dump
--
SET client_encoding = 'LATIN1';
SET default_with_oids = true;
SET default_tablespace = fast;
SET SESSION AUTHORIZATION 'postgres';
CREATE TABLE public.t (id integer);
ALTER TABLE public.t OWNER TO postgres;
ALTER TABLE public.t OWNER TO "two words";
ALTER SCHEMA public OWNER TO postgres;
GRANT SELECT ON TABLE public.t TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO PUBLIC;
ALTER TABLE public.t DISABLE TRIGGER ALL;
CREATE POLICY p ON public.t TO reader;
CREATE ROLE reader;
