"""Applies a plan under the lease, and yields events.

May import `planning`, but not `history`. Begin with `apply.py`; its function `_steps` is the order of an apply.
"""
