"""Reads and parses migrations, down migrations, seeds and the draft, and creates new migration files.

Start with `files`. May import `mosaic_deploy.errors`, `model` and `sql`, and `source.problems`.
"""
