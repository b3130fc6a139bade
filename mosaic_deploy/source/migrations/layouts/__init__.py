"""Reads a migrations folder in the layout of its tool: which files are migrations, in which order, and what new ones are called.

Pure but for reading the folder. May import `mosaic_deploy.errors` and `model`. Begin with `detect`; a layout is one module with
one `Layout`.
"""
