"""The served platform: worker processes on an external PostgreSQL server and object store.

May import every other room of the platform. Begin with `commands`, the process contract; `workers` runs the processes.
"""
