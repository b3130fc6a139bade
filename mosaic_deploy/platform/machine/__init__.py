"""This machine: the state folder and its locks, TCP ports, the OS user that runs PostgreSQL.

May import only `faults`. Begin with `state_folder.py`.
"""
