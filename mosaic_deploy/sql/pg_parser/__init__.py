"""PostgreSQL's own parser with limits: any text ends in a tree or an error.

Imports nothing of the project. Begin with `libpg_query.py`.
"""
