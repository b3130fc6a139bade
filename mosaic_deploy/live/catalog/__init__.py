"""The queries that read a database's schema from PostgreSQL's catalogs, a module per kind of object.

May import `live.api`. Begin with `query.py`, which puts them together.
"""
