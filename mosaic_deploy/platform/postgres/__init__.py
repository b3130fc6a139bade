"""PostgreSQL: installing and running it, the control database, one database per project, clones, connections.

May import `machine` and `faults`. Begin with `databases.py`; `cluster.py` runs the embedded server.
"""
