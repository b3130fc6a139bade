"""The SQL endpoint: runs a call's statements and turns its rows into JSON.

May import `projects` and what `projects` may. Begin with `endpoint.py`, then `execute.py`.
"""
