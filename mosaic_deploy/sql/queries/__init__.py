"""What `sql` and its prompt do with a query: whether it is finished, which names fit in it, and its rows as text.

May import `parse`, `tree`, `quote` and `pg_parser` of `sql`. Begin with `as_text.py`.
"""
