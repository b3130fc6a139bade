--
-- PostgreSQL database dump
--

\restrict ahG3kQ

SET statement_timeout = 0;
