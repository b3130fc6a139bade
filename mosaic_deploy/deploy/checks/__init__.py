"""Runs the checks of `verify`: after an apply, and on demand.

It may import source, live, sql, model and errors. Begin with `run_checks`.
"""
