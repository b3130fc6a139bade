"""Compares another migration tool's history with the folder: which files the tool has applied, and with which content.

Pure. Begin with `applied.py`. May import `mosaic_deploy.errors`, `model` and `diff.history`.
"""
