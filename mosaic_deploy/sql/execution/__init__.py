"""Migrations compiled into the SQL that is sent to the platform, and its failure messages parsed.

Begin with `units.py` (what commits at once), then `batch.py` (the usual way to run units). May import the modules
beside it in `sql`; does no I/O.
"""
