"""Checks on data: whether live rows violate the constraints that a plan's migrations add or tighten.

Text and facts in, queries out. Begin with `tightened.py`, which compares the facts from before and after a rehearsal. May
import the rest of `sql`.
"""
