"""Projects: creating, provisioning and deleting them, their drafts and dev sessions, limits, support tickets.

May import `http`, `postgres`, `faults` and `services`. Begin with `projects.py`.
"""
