"""PostgreSQL's language: parsing, locating errors, compiling migrations, linting them. Text in, values out; no I/O.

May import model and errors. Begin with `parse.py` (statements of a file), then `execution` (how they are sent) and
`hazards` (the linter).
"""
