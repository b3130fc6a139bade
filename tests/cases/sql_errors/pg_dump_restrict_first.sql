--
-- PostgreSQL database dump
--

\restrict Xyz

SET statement_timeout = 0;
\unrestrict Xyz
