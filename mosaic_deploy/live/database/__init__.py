"""Runs SQL through the API: migration steps, read-only queries, catalog queries, draft clones.

May import `live.api` and `live.ledger`. Begin with `runner.py`.
"""
