"""The session of a migration file, as psql would have it: what its statements set, and what a step starts with.

Begin with `state.py`. The executor, the hazard review and `sql/uncarried.py` share this description. May import
`parse` and `quote`; does no I/O.
"""
