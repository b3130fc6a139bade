"""Readers of parse trees: names, types, ALTER TABLE commands, PL/pgSQL bodies.

Begin with `trees.py`. May import only `sql.parse`, `sql.quote` and `sql.pg_parser`.
"""
