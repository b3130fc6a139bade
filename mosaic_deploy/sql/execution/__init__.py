"""Migrations compiled into the SQL that is sent to the platform, and its failure messages parsed.

Begin with `steps.py` (what commits at once), then `batch.py` (the usual way to run steps). May import the modules
beside it in `sql`; does no I/O.
"""
