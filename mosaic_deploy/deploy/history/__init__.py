"""Plans and runs the `migrate` commands that change the migration history: rollback, repair, baseline, import.

May import `planning` and `applying`. Begin with `read.py`.
"""
