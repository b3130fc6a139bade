"""The tracking tables in the schema `mosaic_deploy` of a project's database, and the lease that serializes deploys.

May import `live.api`. Begin with `tables.py` (the tables), then `read.py`.
"""
