"""Compares the migration files with the migration history: what is pending, edited, renamed or missing, and how to repair it.

Pure. Begin with `migrations.py`.
"""
