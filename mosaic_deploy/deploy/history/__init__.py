"""Plans and runs the `migrate` commands on the history and the recorded schema: rollback, repair, baseline, import, drift.

May import `planning` and `applying`. Begin with `read.py`.
"""
