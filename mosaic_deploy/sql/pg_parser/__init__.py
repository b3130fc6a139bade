"""PostgreSQL's own parser, called so that no text ends the process or keeps it busy for ever.

Imports nothing of the project. Begin with `libpg_query.py`.
"""
